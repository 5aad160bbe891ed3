//! Publishing, with confirms, and who may publish what.

use super::*;

pub(super) async fn messages_go_where_they_are_bound(broker: impl TestBroker) {
    // given
    let (one, other) = (app(), app());
    let model = format!("m{one}");
    let exact = queue(&[&format!("{one}.{model}")]);
    let any = queue(&[&format!("*.{model}")]);
    broker.declare(&exact).await.unwrap();
    broker.declare(&any).await.unwrap();

    // when
    let all = [(&one, &model), (&other, &model), (&one, &"comment".to_owned())]
        .map(|(app, model)| publication(&[&format!("{app}/{model}")], &format!("{app}/{model}")));
    publish(&broker, all.into()).await;

    // then
    let mut exact = broker.consume(&exact, 10).await.unwrap();
    let mut any = broker.consume(&any, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut exact, 1).await), [format!("{one}/{model}")]);
    assert_eq!(bodies(&next_many(&mut any, 2).await), [format!("{one}/{model}"), format!("{other}/{model}")]);
    assert_silent(&mut exact).await;
    assert_silent(&mut any).await;
}

pub(super) async fn what_was_unbound_goes_nowhere_any_more(broker: impl TestBroker) {
    // given a queue that has a message of each of its two endpoints
    let app = app();
    let (post, user) = (format!("{app}/post"), format!("{app}/user"));
    let both = queue(&[&format!("{app}.post"), &format!("{app}.user")]);
    broker.declare(&both).await.unwrap();
    let each = || vec![publication(&[&post], "post"), publication(&[&user], "user")];
    publish(&broker, each()).await;
    // when one of them is taken back
    let user_only = Queue { bindings: vec![format!("{app}.user")], ..both.clone() };
    broker.unbind(&user_only).await.unwrap();
    publish(&broker, each()).await;
    // then
    let mut consumer = broker.consume(&both, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 3).await), ["post", "user", "post"]);
    assert_silent(&mut consumer).await;
    // Once more, and of a queue that is not there, is no error.
    broker.unbind(&user_only).await.unwrap();
    broker.unbind(&queue(&["a.b"])).await.unwrap();
}

pub(super) async fn a_message_of_several_endpoints_reaches_a_queue_once(broker: impl TestBroker) {
    // given
    let app = app();
    let (post, user) = (format!("{app}/post"), format!("{app}/user"));
    let both = queue(&[&format!("{app}.post"), &format!("{app}.user")]);
    let second = queue(&[&format!("{app}.user")]);
    broker.declare(&both).await.unwrap();
    broker.declare(&second).await.unwrap();

    // when
    publish(&broker, vec![publication(&[&post, &user], "x")]).await;

    // then
    for queue in [&both, &second] {
        let mut consumer = broker.consume(queue, 10).await.unwrap();
        assert_eq!(bodies(&next_many(&mut consumer, 1).await), ["x"]);
        assert_silent(&mut consumer).await;
    }
}

pub(super) async fn what_nobody_is_bound_to_is_confirmed(broker: impl TestBroker) {
    publish_numbers(&broker, &format!("{}/post", app()), 3).await;
    assert!(broker.publish(vec![]).await.is_empty());
}

pub(super) async fn five_hundred_publications_are_confirmed_pipelined(broker: impl TestBroker) {
    // given
    let (queue, to) = one_queue(&broker).await;

    // when: one round trip each would take longer than this, let alone one disk sync each
    let begin = std::time::Instant::now();
    publish_numbers(&broker, &to, 500).await;
    println!("500 publications confirmed in {:?}", begin.elapsed());

    // then
    let mut consumer = broker.consume(&queue, 500).await.unwrap();
    let expected: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&next_many(&mut consumer, 500).await), expected);
}

pub(super) async fn a_message_that_is_too_large_is_refused_alone(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    let large = "x".repeat(promiscuous_core::message::MAX_MESSAGE_BYTES + 1);

    let results = broker
        .publish(vec![publication(&[&to], "a"), publication(&[&to], &large), publication(&[&to], "b")])
        .await;

    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(&results[1], Err(BrokerError::Refused { .. })), "{:?}", results[1]);
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["a", "b"]);
}

pub(super) async fn an_endpoint_belongs_to_the_app_that_claimed_it_first(broker: impl TestBroker) {
    // given
    let (owner, other) = (app(), app());
    let (post, user) = (endpoint(&format!("{owner}/post")), endpoint(&format!("{owner}/user")));
    broker.claim(&owner, &[post.clone(), user.clone()]).await.unwrap();

    // when
    let again = broker.claim(&owner, std::slice::from_ref(&user)).await;
    let taken = broker.claim(&other, std::slice::from_ref(&user)).await;

    // then
    again.unwrap();
    match taken {
        Err(BrokerError::EndpointTaken { endpoint, owner: named, exchange }) => {
            assert_eq!((endpoint, named), (user, owner.clone()));
            assert_eq!(exchange, format!("promiscuous.endpoint.{owner}.user"));
        }
        other => panic!("{other:?}"),
    }
    broker.claim(&other, &[endpoint(&format!("{other}/user"))]).await.unwrap();
}

pub(super) async fn a_broker_that_is_there_answers_a_ping(broker: impl TestBroker) {
    broker.ping().await.unwrap();
}
