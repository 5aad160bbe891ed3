//! Each of an adapter's ways to write a row is published. After each of them the copy equals the original.

use promiscuous_tests::conformance::step::{create_counter, destroy_counter, increment};
use promiscuous_tests::conformance::{Model, Stack, Step};

use super::mirror::{Pair, lines};

over_pairs! {
    each_way_of_writing_is_published_and_applied
}

async fn each_way_of_writing_is_published_and_applied(from: Stack, to: Stack) {
    let mut mirror = Pair::new(from, to, &["counter"]).start().await;
    let ways = from.ways_of_writing();
    assert!(ways.len() > 10);
    for way in ways {
        // Given four counters at 0, and no others,
        for step in [1, 2, 3, 4].map(create_counter) {
            mirror.here.write(step).await.unwrap();
        }

        // when one of them is written in this way, among other things,
        let written = mirror.here.request(way.name, [Step::Way(way.name)]).await;
        written.unwrap_or_else(|failure| panic!("{}: {failure}", way.name));

        // then that is published, and nothing else, and the copy is like the original.
        let mut messages = mirror.settle().await;
        messages.retain(|message| message.context.as_deref() == Some(way.name));
        let told = lines(&messages);
        assert_eq!(told, way.told, "{}", way.name);
        mirror.assert_equal(&[Model::Counter]).await;
        println!("{:<40} publishes {told:?}", way.name);
        mirror.here.write(Step::DestroyCountersBelow(i64::MAX)).await.unwrap();
    }
    // And all of it is applied in the order of its writing, so the last word counts.
    for step in [create_counter(1), increment(1), destroy_counter(1), create_counter(1), increment(1)] {
        mirror.here.write(step).await.unwrap();
    }
    mirror.settle().await;
    assert_eq!(mirror.there_eyes.counter(1).await, Some(1));
}
