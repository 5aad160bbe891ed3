//! What the harness sees of an app's database: plain queries, the same for every adapter.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, Iterable, ModelTrait, QueryFilter,
    QueryOrder, QueryResult, Statement, Value,
};

use super::step::Model;
use crate::databases::{Kind, connect};
use crate::entities::everything::{moment, plain};
use crate::entities::subscribing::{VIOLATION, applied};
use crate::entities::{keyed, subscribing};
use crate::until;

/// How long something that must happen may take, with other tests beside it.
pub const SOON: Duration = Duration::from_secs(60);

/// A row as text, column by column: the column's name and its value.
pub type Shown = Vec<(String, String)>;

/// Plain access to an app's database.
#[derive(Clone, Debug)]
pub struct Eyes {
    /// SeaORM's own connection: nothing that is done through it is published.
    pub db: DatabaseConnection,
    kind: Kind,
}

impl Eyes {
    /// Looks at the database at this address.
    pub async fn open(url: &str) -> Self {
        Self { db: connect(url, 4).await, kind: Kind::of(url) }
    }

    /// The one row that a query gives.
    pub async fn row(&self, sql: &str) -> QueryResult {
        let row = self.db.query_one_raw(Statement::from_string(self.kind.backend(), sql)).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).unwrap_or_else(|| panic!("{sql}: no row"))
    }

    /// Does something to the database that no app knows of.
    pub async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// How many rows there are: `count("cakes WHERE id = 1")`.
    pub async fn count(&self, of: &str) -> usize {
        let row = self.row(&format!("SELECT COUNT(*) AS n FROM {of}")).await;
        let n: i64 = row.try_get("", "n").expect("A count is a number.");
        usize::try_from(n).expect("A count is no negative number.")
    }

    /// Waits until there is nothing left to publish: only fences.
    pub async fn outbox_is_empty(&self) {
        until(SOON, "an outbox with nothing left to publish", async || {
            (self.count("promiscuous_outbox WHERE state < 2").await == 0).then_some(())
        })
        .await;
    }

    /// What was applied of one kind, in order.
    pub async fn log(&self, kind: &str) -> Vec<applied::Model> {
        let lines = applied::Entity::find().filter(applied::Column::Kind.eq(kind));
        lines.order_by_asc(applied::Column::Position).all(&self.db).await.expect("The log can be read.")
    }

    /// The values of an object in the order they were applied.
    pub async fn values(&self, kind: &str, object: i64) -> Vec<i64> {
        let lines = self.log(kind).await;
        lines.into_iter().filter(|line| line.object == object).map(|line| line.value).collect()
    }

    /// What was applied without its cause.
    pub async fn violations(&self) -> Vec<String> {
        self.log(VIOLATION).await.iter().map(|line| format!("{line:?}")).collect()
    }

    /// The number of a counter, if it is there.
    pub async fn counter(&self, id: i64) -> Option<i64> {
        let counter = subscribing::counter::Entity::find_by_id(id).one(&self.db).await;
        counter.expect("Counters can be read.").map(|counter| counter.n)
    }

    /// Waits until a counter has arrived at this number.
    pub async fn counted(&self, id: i64, n: i64) {
        self.counted_within(SOON, id, n).await;
    }

    /// The same, with a deadline.
    pub async fn counted_within(&self, deadline: Duration, id: i64, n: i64) {
        let what = format!("counter {id} to be {n}");
        until(deadline, &what, async || (self.counter(id).await == Some(n)).then_some(())).await;
    }

    /// Waits until a model has this many rows.
    pub async fn has_rows(&self, model: Model, count: usize) {
        let what = format!("{count} rows of {}", model.table());
        until(Duration::from_secs(90), &what, async || {
            (self.count(model.table()).await >= count).then_some(())
        })
        .await;
    }

    /// All rows of a model in the order of their text: the columns that both sides have. Moments are shown in UTC, because the
    /// same moment in another zone is no change, and decimals without zeros at the end unless asked for `exactly` what is
    /// there, because not every database keeps the scale.
    pub async fn rows(&self, model: Model, exactly: bool) -> Vec<Shown> {
        let db = &self.db;
        match model {
            Model::User => shown(subscribing::user::Entity, db, exactly).await,
            Model::Message => shown(subscribing::message::Entity, db, exactly).await,
            Model::Comment => shown(subscribing::comment::Entity, db, exactly).await,
            Model::Counter => shown(subscribing::counter::Entity, db, exactly).await,
            Model::Friendship => shown(subscribing::friendship::Entity, db, exactly).await,
            Model::Photo => shown(subscribing::photo::Entity, db, exactly).await,
            Model::Word => shown(keyed::word::Entity, db, exactly).await,
            Model::Thing => shown(keyed::thing::Entity, db, exactly).await,
            Model::Pair => shown(keyed::pair::Entity, db, exactly).await,
            Model::Day => shown(keyed::day::Entity, db, exactly).await,
            Model::Plain => shown(plain::Entity, db, exactly).await,
            Model::Moment => shown(moment::Entity, db, exactly).await,
            Model::Note => panic!("Notes are nobody else's business."),
        }
    }

    /// Panics unless this copy of a model has the same rows as the original, and names the column that differs.
    pub async fn assert_equals(&self, original: &Eyes, model: Model) {
        self.assert_same(original, model, false).await;
    }

    /// The same, and also that decimals have the same number of digits.
    pub async fn assert_same(&self, original: &Eyes, model: Model, exactly: bool) {
        let [here, there] = [original.rows(model, exactly).await, self.rows(model, exactly).await];
        assert_eq!(there.len(), here.len(), "rows of {}", model.table());
        for (here, there) in here.iter().zip(&there) {
            for (here, there) in here.iter().zip(there) {
                assert_eq!(there, here, "a column of {}", model.table());
            }
        }
    }
}

async fn shown<E: EntityTrait<Model: Sync>>(_: E, db: &DatabaseConnection, exactly: bool) -> Vec<Shown> {
    let rows = E::find().all(db).await.unwrap_or_else(|error| panic!("{:?}: {error}", E::default()));
    let show = |row: &E::Model| -> Shown {
        E::Column::iter().map(|column| (format!("{column:?}"), text(row.get(column), exactly))).collect()
    };
    let mut rows: Vec<Shown> = rows.iter().map(show).collect();
    rows.sort();
    rows
}

fn text(value: Value, exactly: bool) -> String {
    let value = match value {
        Value::Decimal(Some(v)) if !exactly => Value::from(v.normalize()),
        Value::ChronoDateTimeWithTimeZone(Some(v)) => Value::from(v.to_utc()),
        Value::TimeDateTimeWithTimeZone(Some(v)) => Value::from(v.to_offset(time::UtcOffset::UTC)),
        value => value,
    };
    format!("{value:?}")
}
