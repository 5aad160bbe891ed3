use promiscuous_diesel::Attribute;

#[derive(Attribute)]
struct Money {
    amount: i64,
    currency: String,
}

fn main() {}
