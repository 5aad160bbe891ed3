//! What a publisher believes of a version store that may have lost writes.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::database::{Dialect, SqlRow, Transaction};
use crate::key::Key;
use crate::version_store::{Bump, Bumped, Finish, KeyVersion, Refusal, Survey};

/// A database that holds nothing but the generation.
#[derive(Default)]
struct Meta(Mutex<Option<i64>>);

#[async_trait]
impl Database for Meta {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn execute(&self, sql: Sql) -> Result<u64, DatabaseError> {
        let mut value = self.0.lock().unwrap();
        match sql.values.as_slice() {
            [SqlValue::Text(_), SqlValue::Int(first)] => *value = Some(*first),
            [SqlValue::Int(raised), _] => *value = value.map(|own| own.max(*raised)),
            other => panic!("{other:?}"),
        }
        Ok(1)
    }

    async fn query(&self, _: Sql, _: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError> {
        Ok(self.0.lock().unwrap().map(|value| vec![SqlValue::Int(value)]).into_iter().collect())
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, DatabaseError> {
        unreachable!("the generation needs no transaction")
    }
}

/// A store that holds nothing but the generation, and tells what it was raised to: being raised is being trusted.
#[derive(Default)]
struct Mirror {
    generation: Mutex<Option<u64>>,
    raised: Mutex<Vec<u64>>,
    /// How often it lost writes.
    losses: Mutex<u32>,
    /// How often it had when it was raised.
    vouched_for: Mutex<u32>,
    /// How often it will, right before it is raised.
    losses_to_come: Mutex<u32>,
}

#[async_trait]
impl VersionStore for Mirror {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn generation(&self, at_least: u64) -> Result<Trust, StoreError> {
        let stored = *self.generation.lock().unwrap();
        let losses = *self.losses.lock().unwrap();
        let is_trusted = losses == *self.vouched_for.lock().unwrap();
        Ok(match stored.filter(|stored| is_trusted && *stored >= at_least) {
            Some(stored) => Trust::Generation(stored),
            None => Trust::Refused(Refusal { stored, token: losses.to_string(), run_id: String::new() }),
        })
    }
    async fn raise_generation(&self, generation: u64, refused: &Refusal) -> Result<bool, StoreError> {
        let mut losses = self.losses.lock().unwrap();
        *losses += std::mem::take(&mut *self.losses_to_come.lock().unwrap());
        let as_it_was = losses.to_string() == refused.token;
        if as_it_was {
            *self.generation.lock().unwrap() = Some(generation);
            *self.vouched_for.lock().unwrap() = *losses;
            self.raised.lock().unwrap().push(generation);
        }
        Ok(as_it_was)
    }
    async fn lock_and_bump(&self, _: &Bump) -> Result<Bumped, StoreError> {
        unreachable!()
    }
    async fn finish(&self, _: &[Finish]) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn intent_exists(&self, _: Uuid) -> Result<bool, StoreError> {
        unreachable!()
    }
    async fn overdue(&self, _: usize) -> Result<Vec<Bumped>, StoreError> {
        unreachable!()
    }
    async fn intents(&self, _: usize) -> Result<Vec<Bumped>, StoreError> {
        unreachable!()
    }
    async fn survey(&self) -> Result<Survey, StoreError> {
        unreachable!()
    }
    async fn hasten(&self, _: Uuid, _: Duration) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn lease(&self, _: &str, _: Uuid, _: Duration) -> Result<bool, StoreError> {
        unreachable!()
    }
    async fn versions_of(&self, _: u64, _: &[Key]) -> Result<Vec<KeyVersion>, StoreError> {
        unreachable!()
    }
}

fn given(stored: Option<i64>, mirrored: Option<u64>) -> (Arc<Meta>, Arc<Mirror>, Generation) {
    let database = Arc::new(Meta(Mutex::new(stored)));
    let store = Arc::new(Mirror { generation: Mutex::new(mirrored), ..Mirror::default() });
    let (db, vs): (Arc<dyn Database>, Arc<dyn VersionStore>) = (database.clone(), store.clone());
    (database, store, Generation::new(db, vs))
}

#[tokio::test]
async fn at_start_a_store_that_may_have_lost_writes_is_never_trusted_with_an_old_generation() {
    for (stored, mirrored, agreed, raised) in [
        // The first start ever.
        (None, None, 1, vec![1]),
        // All is as it was.
        (Some(4), Some(4), 4, vec![]),
        // The database was restored, or made anew.
        (Some(4), Some(6), 6, vec![]),
        // The store was wiped, or is older than the database: it had generation 4 once, and has lost it.
        (Some(4), None, 5, vec![5]),
        (Some(4), Some(3), 5, vec![5]),
    ] {
        let (database, store, generation) = given(stored, mirrored);
        assert_eq!(generation.establish().await.unwrap(), agreed, "{stored:?} {mirrored:?}");
        assert_eq!(*store.raised.lock().unwrap(), raised, "{stored:?} {mirrored:?}");
        assert_eq!(*database.0.lock().unwrap(), Some(i64::try_from(agreed).unwrap()));
    }
}

#[tokio::test]
async fn many_writers_that_meet_one_loss_raise_the_generation_once() {
    let (_, store, generation) = given(Some(4), Some(4));
    generation.establish().await.unwrap();
    *store.losses.lock().unwrap() += 1;
    let all = (0..50).map(|_| generation.renew(4, &StoreError::LostWrites));
    let agreed = futures_util::future::join_all(all).await;
    assert!(agreed.into_iter().all(|agreed| agreed.unwrap() == 5));
    assert_eq!(*store.raised.lock().unwrap(), [5]);
}

#[tokio::test]
async fn a_second_loss_raises_again_even_if_another_process_raised_for_the_first() {
    // Given a process that slept through a loss, for which another one raised from 4 to 5,
    let (database, store, generation) = given(Some(4), Some(4));
    generation.establish().await.unwrap();
    *database.0.lock().unwrap() = Some(5);
    *store.generation.lock().unwrap() = Some(5);
    // when it is told that it is behind, then it follows without vouching for the store;
    let stale = StoreError::StaleGeneration { used: 4, stored: 5 };
    assert_eq!(generation.renew(4, &stale).await.unwrap(), 5);
    assert_eq!(*store.raised.lock().unwrap(), [0; 0]);
    // when the store has lost writes again, then 5 is not used any more.
    *store.losses.lock().unwrap() += 1;
    assert_eq!(generation.renew(5, &StoreError::LostWrites).await.unwrap(), 6);
    assert_eq!(*store.raised.lock().unwrap(), [6]);
}

#[tokio::test]
async fn who_raises_for_one_loss_does_not_vouch_for_the_next_one() {
    // given a store that loses writes once more, right before it is raised for the first loss
    let (database, store, generation) = given(Some(4), Some(4));
    generation.establish().await.unwrap();
    *store.losses.lock().unwrap() += 1;
    *store.losses_to_come.lock().unwrap() += 1;
    // when, then
    let agreed = generation.renew(4, &StoreError::LostWrites).await.unwrap();
    assert!(agreed > 5, "5 may have been used by whoever raised the store in between");
    assert_eq!(*store.raised.lock().unwrap(), [agreed]);
    assert_eq!(*database.0.lock().unwrap(), i64::try_from(agreed).ok());
}
