use promiscuous_diesel::Attribute;

#[derive(Attribute)]
#[attribute(text)]
struct Money(i64);

fn main() {}
