//! What people are told of a store.

use super::*;

pub(super) async fn a_survey_tells_how_the_store_is_and_changes_nothing(store: impl Store) {
    // given a store that nobody has written to
    let nothing = Survey { generation: None, is_trusted: false, intents: 0, overdue: 0 };
    assert_eq!(store.survey().await.unwrap(), nothing);
    // when it is raised, then it is trusted;
    let Trust::Refused(refusal) = store.generation(0).await.unwrap() else { panic!("it is new") };
    assert_eq!(store.survey().await.unwrap(), nothing);
    assert!(store.raise_generation(1, &refusal).await.unwrap());
    let raised = Survey { generation: Some(1), is_trusted: true, ..nothing };
    assert_eq!(store.survey().await.unwrap(), raised);
    // and writers are counted until they have finished.
    let slow = bump(&["a/post/1"], &[]);
    let dead = Bump { deadline: Duration::ZERO, ..bump(&["a/post/2"], &[]) };
    store.lock_and_bump(&slow).await.unwrap();
    store.lock_and_bump(&dead).await.unwrap();
    let busy = Survey { intents: 2, overdue: 1, ..raised };
    assert_eq!(store.second_handle().survey().await.unwrap(), busy);
    store.finish(&[done(&slow), done(&dead)]).await.unwrap();
    assert_eq!(store.survey().await.unwrap(), raised);
    assert_eq!(store.generation(1).await.unwrap(), Trust::Generation(1));
}

pub(super) async fn intents_are_told_whether_overdue_or_not(store: impl Store) {
    raise(&store, 1).await;
    let later = bump(&["a/post/1"], &[]);
    let soon = Bump { deadline: Duration::ZERO, ..bump(&["a/post/2"], &["a/post/1"]) };
    let expected = [store.lock_and_bump(&later).await.unwrap(), store.lock_and_bump(&soon).await.unwrap()];
    let [later, soon] = expected;
    assert_eq!(store.intents(0).await.unwrap(), []);
    assert_eq!(store.intents(1).await.unwrap(), std::slice::from_ref(&soon));
    assert_eq!(store.intents(10).await.unwrap(), [soon, later]);
    assert_eq!(store.intents(10).await.unwrap().len(), 2);
}
