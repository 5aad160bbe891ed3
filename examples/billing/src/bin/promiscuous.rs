//! Billing's `promiscuous` command: `migrate`, and `subscribe`, which is its worker.

// Links the models, which register themselves.
use billing as _;

fn main() -> ! {
    promiscuous_diesel::cli::<diesel::pg::Pg>()
}
