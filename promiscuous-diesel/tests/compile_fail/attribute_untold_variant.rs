use promiscuous_diesel::Attribute;

#[derive(Attribute)]
enum Mood {
    #[attribute("happy")]
    Happy,
    VerySad,
}

fn main() {}
