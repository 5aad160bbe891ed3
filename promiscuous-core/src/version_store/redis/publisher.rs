//! The publisher's side: versions, locks and intents (sections 4 to 6 of the protocol).

use std::time::Duration;

use async_trait::async_trait;
use redis::{ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use uuid::Uuid;

use super::scripts::{self, Call, number, texts, unexpected};
use super::{CHUNK, RedisStore, millis, parse_op};
use crate::key::Key;
use crate::version_store::{
    Bump, Bumped, Finish, KeyVersion, Refusal, StoreError, Survey, Trust, VersionStore,
};

/// How soon an op is looked at whose lock was taken over, in milliseconds.
const EARLY_LOOK_MS: u64 = 1_000;

impl RedisStore {
    fn bump_call(&self, bump: &Bump, run_id: &str) -> Call {
        let mut call = Call::new(&scripts::LOCK_AND_BUMP)
            .key(self.single("generation"))
            .key(self.single("intents"))
            .key(self.single("deadlines"))
            .arg(bump.op)
            .arg(bump.generation)
            .arg(run_id)
            .arg(bump.deadline.as_millis())
            .arg(self.ttl_ms())
            .arg(EARLY_LOOK_MS)
            .arg(bump.endpoints.len())
            .arg(bump.write.len());
        for key in &bump.write {
            call = call.key(self.dep(key)).key(self.lock(key));
        }
        for key in &bump.read {
            call = call.key(self.dep(key));
        }
        for endpoint in &bump.endpoints {
            call = call.arg(endpoint);
        }
        for key in bump.write.iter().chain(&bump.read) {
            call = call.arg(key);
        }
        call
    }

    async fn eval_one(&self, call: impl Fn(&str) -> Call + Send + Sync) -> Result<Value, StoreError> {
        let answers = self.link().eval(|run_id| vec![call(run_id)]).await?;
        answers.into_iter().next().ok_or_else(|| StoreError::Protocol("a script gave no answer".into()))
    }
}

/// Reads `{'OK', …}`, `{'LOST'}` or `{'STALE', stored}`.
fn accepted(answer: Value, used: u64) -> Result<Vec<String>, StoreError> {
    let mut answer = texts(answer)?;
    match answer.first().map(String::as_str) {
        Some("OK") => Ok(answer.split_off(1)),
        Some("LOST") => Err(StoreError::LostWrites),
        Some("STALE") if answer.len() == 2 => {
            Err(StoreError::StaleGeneration { used, stored: number(&answer[1])? })
        }
        _ => Err(unexpected("a script answered neither OK, nor LOST, nor STALE")),
    }
}

fn parse_record(text: &str) -> Result<Bumped, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| unexpected(format!("an intent record is not readable: {error}")))
}

#[async_trait]
impl VersionStore for RedisStore {
    async fn check(&self) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CONFIG").arg("GET").arg("maxmemory-policy").ignore_errors();
        let answers: Vec<Result<Vec<String>, RedisError>> = self.link().query(&pipeline).await?;
        match answers.into_iter().next() {
            Some(Ok(pair)) => match pair.get(1) {
                Some(policy) if policy != "noeviction" => {
                    Err(StoreError::Evicts { at: self.link().at().to_owned(), policy: policy.clone() })
                }
                _ => Ok(()),
            },
            Some(Err(error))
                if error.kind() != ErrorKind::Server(ServerErrorKind::NoPerm) && !hidden(&error) =>
            {
                Err(self.link().unavailable(&error))
            }
            _ => {
                tracing::warn!(
                    at = self.link().at(),
                    "Redis does not tell its maxmemory-policy: make sure that it is `noeviction`, because evicted versions would be lost silently"
                );
                Ok(())
            }
        }
    }

    async fn generation(&self, at_least: u64) -> Result<Trust, StoreError> {
        let token = Uuid::now_v7();
        // A server may become a replica and be promoted again under its connections: they remember what it was before.
        self.link().refresh_run_id().await?;
        let look = |run_id: &str| {
            let call = Call::new(&scripts::GENERATION).key(self.single("generation"));
            call.arg(run_id).arg(at_least).arg(token)
        };
        let answer = texts(self.eval_one(look).await?)?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["OK", generation] => Ok(Trust::Generation(number(generation)?)),
            ["REFUSED", token, run_id, stored] => Ok(Trust::Refused(Refusal {
                stored: Some(*stored).filter(|stored| !stored.is_empty()).map(number).transpose()?,
                token: (*token).to_owned(),
                run_id: (*run_id).to_owned(),
            })),
            _ => Err(unexpected("a script answered neither OK nor REFUSED")),
        }
    }

    async fn raise_generation(&self, generation: u64, refused: &Refusal) -> Result<bool, StoreError> {
        // What the connection remembers may be outdated (a replica that was promoted under it); the
        // generation is confirmed for what the server is now.
        self.link().refresh_run_id().await?;
        let raise = |run_id: &str| {
            let call = Call::new(&scripts::RAISE_GENERATION).key(self.single("generation"));
            call.arg(generation).arg(run_id).arg(&refused.token).arg(&refused.run_id)
        };
        redis::from_redis_value(self.eval_one(raise).await?).map_err(unexpected)
    }

    async fn lock_and_bump(&self, bump: &Bump) -> Result<Bumped, StoreError> {
        if bump.write.is_empty() {
            return Err(StoreError::Protocol("a bump must write at least one key".into()));
        }
        let answer = self.eval_one(|run_id| self.bump_call(bump, run_id)).await?;
        let answer = accepted(answer, bump.generation)?;
        let (record, taken_over) =
            answer.split_first().ok_or_else(|| unexpected("a bump without a record"))?;
        let taken_over = taken_over.iter().map(|op| parse_op(op)).collect::<Result<_, _>>()?;
        Ok(Bumped { taken_over, ..parse_record(record)? })
    }

    async fn finish(&self, ops: &[Finish]) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        let call = |op: Uuid, keys: &[Key]| {
            let call =
                Call::new(&scripts::FINISH).key(self.single("intents")).key(self.single("deadlines")).arg(op);
            keys.iter().fold(call, |call, key| call.key(self.lock(key)))
        };
        let calls = |_: &str| {
            let mut calls = Vec::with_capacity(ops.len());
            for Finish { op, keys } in ops {
                calls.extend(keys.chunks(CHUNK).map(|keys| call(*op, keys)));
                if keys.is_empty() {
                    calls.push(call(*op, &[]));
                }
            }
            calls
        };
        self.link().eval(calls).await.map(drop)
    }

    async fn intent_exists(&self, op: Uuid) -> Result<bool, StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("HEXISTS").arg(self.single("intents")).arg(op.to_string());
        let (exists,): (bool,) = self.link().query(&pipeline).await?;
        Ok(exists)
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        let call = |_: &str| {
            Call::new(&scripts::OVERDUE).key(self.single("intents")).key(self.single("deadlines")).arg(limit)
        };
        texts(self.eval_one(call).await?)?.iter().map(|record| parse_record(record)).collect()
    }

    async fn intents(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        let call = |_: &str| {
            Call::new(&scripts::INTENTS).key(self.single("intents")).key(self.single("deadlines")).arg(limit)
        };
        texts(self.eval_one(call).await?)?.iter().map(|record| parse_record(record)).collect()
    }

    async fn survey(&self) -> Result<Survey, StoreError> {
        let look = |run_id: &str| {
            let keys = ["generation", "intents", "deadlines"].map(|name| self.single(name));
            keys.into_iter().fold(Call::new(&scripts::SURVEY), Call::key).arg(run_id)
        };
        let answer = texts(self.eval_one(look).await?)?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [generation, trusted, intents, overdue] => Ok(Survey {
                generation: Some(*generation).filter(|known| !known.is_empty()).map(number).transpose()?,
                is_trusted: *trusted == "1",
                intents: number(intents)?,
                overdue: number(overdue)?,
            }),
            _ => Err(unexpected("a survey has four answers")),
        }
    }

    async fn hasten(&self, op: Uuid, delay: Duration) -> Result<(), StoreError> {
        let call = |_: &str| {
            Call::new(&scripts::HASTEN).key(self.single("deadlines")).arg(op).arg(delay.as_millis())
        };
        self.eval_one(call).await.map(drop)
    }

    async fn lease(&self, name: &str, owner: Uuid, for_how_long: Duration) -> Result<bool, StoreError> {
        let call = |_: &str| {
            let lease = self.single(&format!("lease:{name}"));
            Call::new(&scripts::LEASE).key(lease).arg(owner).arg(millis(for_how_long))
        };
        redis::from_redis_value(self.eval_one(call).await?).map_err(unexpected)
    }

    async fn versions_of(&self, generation: u64, keys: &[Key]) -> Result<Vec<KeyVersion>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let chunk = |run_id: &str, keys: &[Key]| {
            let call = Call::new(&scripts::VERSIONS_OF)
                .key(self.single("generation"))
                .arg(generation)
                .arg(run_id)
                .arg(self.ttl_ms());
            keys.iter().fold(call, |call, key| call.key(self.dep(key)).key(self.lock(key)))
        };
        let calls = |run_id: &str| keys.chunks(CHUNK).map(|keys| chunk(run_id, keys)).collect();
        let mut versions = Vec::with_capacity(keys.len());
        for answer in self.link().eval(calls).await? {
            for said in accepted(answer, generation)?.chunks_exact(3) {
                let (locked, unwritten) = (said[1] == "1", said[2] == "1");
                versions.push(KeyVersion { version: number(&said[0])?, locked, unwritten });
            }
        }
        if versions.len() != keys.len() {
            return Err(unexpected("not one version for each key"));
        }
        Ok(versions)
    }
}

/// Whether the server hides CONFIG altogether, as some hosted ones do.
fn hidden(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("unknown command"))
}
