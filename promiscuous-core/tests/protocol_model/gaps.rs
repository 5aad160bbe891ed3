//! What the checker finds with all the rules that the code follows.

use crate::check::check;
use crate::message::Broken;
use crate::rules::Rules;
use crate::scenarios::*;

#[test]
fn causes_from_before_a_loss_of_the_publishers_redis_are_not_waited_for() {
    // No rule here closes that: it is an exception to promise 3 (docs/guarantees.md).
    let report = check(CAUSE_BEFORE_FLUSH, Rules::CODE);
    println!("{report}");
    assert_eq!(report.counterexample.map(|found| found.broken), Some(Broken::BeforeItsCause));
}
