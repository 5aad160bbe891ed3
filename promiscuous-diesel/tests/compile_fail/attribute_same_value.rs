use promiscuous_diesel::Attribute;

#[derive(Attribute)]
enum Mood {
    #[attribute("happy")]
    Happy,
    #[attribute("happy")]
    Glad,
}

fn main() {}
