//! The scheduler against a simple oracle: generated histories of two apps, delivered in any order, twice, late, to one or two
//! processes that die, in batches that fail, while the store may be flushed; then causal order, exact states, the final state and
//! progress are checked.
//!
//! * `history`: what the apps publish
//! * `subscription`: what is subscribed, since when and with how much order, and so which messages come
//! * `replica`: the subscriber's database, which knows what it may be told next: the oracle
//! * `processes`: the subscriber's processes
//! * `consistency`: weak, causal and global endpoints, message by message

use proptest::prelude::*;

mod consistency;
mod history;
mod processes;
mod replica;
mod subscription;

use subscription::Subscription;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_delivery_order_keeps_causes_and_exact_states_and_never_stalls(
        steps in history::steps(),
        total_order in any::<[bool; 2]>(),
        chosen in subscription::choices(),
        processes in 1usize..3,
        flushes in 0u32..3,
        deaths in 0u32..4,
        random in 1u64..,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async {
            let history = history::publish(&steps, total_order).await;
            let subscription = Subscription::to(&chosen, history.len());
            processes::run(&history, &subscription, processes, flushes, deaths, random).await
        });
        prop_assert_eq!(result, Ok(()));
    }
}
