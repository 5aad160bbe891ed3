//! The ledger's `promiscuous` command: `migrate`, and `subscribe`, which is its worker.

// Links the models, which register themselves.
use ledger as _;

fn main() -> ! {
    promiscuous_diesel::cli::<diesel::pg::Pg>()
}
