use promiscuous_seaorm::{Publish, Subscribe};

#[derive(Publish)]
#[publish(attributes(name))]
enum Model {
    Name,
}

mod elsewhere {
    #[derive(super::Subscribe)]
    #[subscribe(attributes(name))]
    struct User {
        name: String,
    }
}

fn main() {}
