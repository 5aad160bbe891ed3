use std::time::Duration;

use super::*;
use crate::app::App;
use crate::{Config, Context};

on_each! {
    rows_are_read_as_a_publisher_with_such_columns_would_send_them = sent;
    a_row_that_only_a_collation_takes_for_this_one_is_another_s = collated;
    more_rows_are_read_than_one_statement_asks_for = many;
    nobody_is_waited_for_and_only_what_is_committed_is_read = unlocked;
    a_row_that_cannot_be_read_is_an_error_that_tells_no_value = unreadable;
}

/// The rows with these ids, as `id attribute`.
async fn read<DB: PromiscuousBackend>(
    rows: &DieselSubscribedRows<DB>,
    model: usize,
    ids: &[&str],
) -> Vec<(String, Json)> {
    let mut read = rows.read(model, &texts(ids)).await.unwrap();
    read.sort_by(|one, other| one.id.cmp(&other.id));
    read.into_iter().map(|row| (row.id, Json::from(row.attributes))).collect()
}

async fn sent<DB: Tested>(test: TestDatabase) {
    // Given
    let rows = prepare::<DB>(&test);
    run::<DB>(
        &test,
        "INSERT INTO items (id, name, price, at, weight) VALUES (1, 'one', 1.5, '2025-01-02 03:04:05.678', 0.1), (2, 'two', 2, '2025-01-02 00:00:00', -1);
         INSERT INTO places VALUES ('b/c', 1, 'first'), ('b/c', 2, 'second');
         INSERT INTO copies (origin, title) VALUES ('b%2Fc,1', 'copy'), (NULL, 'mine'), ('7', 'seven');
         INSERT INTO links (item, title) VALUES (1, 'link'), (NULL, 'mine')",
    );
    // When rows are asked for, of which some are gone and some can never have been.
    let items = read(&rows, ITEM, &["1", "3", "no number", "01", "1,2", "%zz"]).await;
    // Then the others are as they are sent.
    let price = if DB::DIALECT == Dialect::Sqlite { "1.5" } else { "1.5000" };
    let one = json!({"name": "one", "price": price, "at": "2025-01-02T03:04:05.678000", "weight": 0.1});
    assert_eq!(items, [("1".to_owned(), one)]);
    let places = read(&rows, PLACE, &["b%2Fc,2", "b%2Fc,3", "b%2Fc", "b/c,1"]).await;
    let place = |id: &str, note: &str| (id.to_owned(), json!({"note": note}));
    assert_eq!(
        places,
        [place("b%2Fc,2", "second"), place("b/c,1", "first")],
        "by the ids that were asked for"
    );
    let copies = read(&rows, COPY, &["b%2Fc,1", "7", "8", "mine"]).await;
    let copy = |id: &str, title: &str| (id.to_owned(), json!({"title": title}));
    assert_eq!(copies, [copy("7", "seven"), copy("b%2Fc,1", "copy")]);
    assert_eq!(read(&rows, LINK, &["2", "1"]).await, [copy("1", "link")]);
}

async fn collated<DB: Tested>(test: TestDatabase) {
    let kind = match DB::DIALECT {
        Dialect::Mysql => "VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        Dialect::Sqlite => "TEXT COLLATE NOCASE",
        // Given text that fills up with spaces.
        Dialect::Postgres => "CHAR(5)",
    };
    let rows = prepare::<DB>(&test);
    run::<DB>(
        &test,
        &format!(
            "DROP TABLE labels; CREATE TABLE labels (id {kind} NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL);
             INSERT INTO labels VALUES ('ABC', 'capitals')"
        ),
    );
    // Then only the id itself has the row.
    assert!(read(&rows, LABEL, &["abc"]).await.is_empty());
    let label = ("ABC".to_owned(), json!({"note": "capitals"}));
    assert_eq!(read(&rows, LABEL, &["abc", "ABC", "aBC"]).await, [label]);
    let sync = |id| super::comparing::operation(OperationKind::Sync, id, json!({"note": "capitals"}));
    assert_eq!(rows.compare(LABEL, &sync("abc")).await.unwrap(), Comparison::Missing);
    assert_eq!(rows.compare(LABEL, &sync("ABC")).await.unwrap(), Comparison::Same);
}

async fn many<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut values: Vec<String> = (0..1200).map(|number| format!("('o', {number}, '{number}')")).collect();
    values.remove(700);
    run::<DB>(&test, &format!("INSERT INTO places VALUES {}", values.join(", ")));
    let ids: Vec<String> = (0..1200).map(|number| format!("o,{number}")).collect();
    let read = rows.read(PLACE, &ids).await.unwrap();
    assert_eq!(read.len(), 1199);
    assert!(read.iter().all(|row| row.id == format!("o,{}", row.attributes["note"].as_str().unwrap())));
}

async fn unlocked<DB: Tested>(test: TestDatabase) {
    // Given a transaction in flight that has changed a row.
    let rows = prepare::<DB>(&test);
    run::<DB>(&test, "INSERT INTO labels VALUES ('a', 'old'), ('b', 'old')");
    let mut writer = test.connect::<DB>();
    writer
        .batch_execute(
            "BEGIN; UPDATE labels SET note = 'new' WHERE id = 'a'; DELETE FROM labels WHERE id = 'b'",
        )
        .unwrap();
    let looking = async {
        let old = |id: &str| (id.to_owned(), json!({"note": "old"}));
        assert_eq!(read(&rows, LABEL, &["a", "b"]).await, [old("a"), old("b")]);
        let new = super::comparing::operation(OperationKind::Update, "a", json!({"note": "new"}));
        let different = Comparison::Different(vec!["note".into()]);
        assert_eq!(rows.compare(LABEL, &new).await.unwrap(), different);
        assert_eq!(rows.ids_after(LABEL, None, 5).await.unwrap(), ["a", "b"]);
    };
    tokio::time::timeout(Duration::from_secs(4), looking).await.expect("it waits for the writer");
    writer.batch_execute("COMMIT").unwrap();
    assert_eq!(read(&rows, LABEL, &["a", "b"]).await, [("a".to_owned(), json!({"note": "new"}))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_running_app_reads_to_compare_it_is_nobody_s_cause() {
    // Given an app that publishes what it subscribes to.
    let test = TestDatabase::sqlite();
    prepare::<Sqlite>(&test);
    run::<Sqlite>(&test, "INSERT INTO links (item, title) VALUES (1, 'one'), (2, 'two')");
    let config = Config::embedded("shop", &format!("rows-{}", uuid::Uuid::now_v7())).unwrap();
    let models = Models::<Sqlite>::new().publish::<Link>().subscribe::<Link>();
    let url = test.url.clone();
    let (running, rows) = tokio::task::spawn_blocking(move || {
        let running = App::new(config).models(models).start(&url).unwrap();
        let rows = running.subscribed(running.core_pool(2).unwrap()).unwrap();
        (running, rows)
    })
    .await
    .unwrap();
    // When its rows are read inside of a context, then the context knows nothing of them.
    let context = Context::new("verify");
    let reading = async {
        assert_eq!(rows.ids_after(0, None, 9).await.unwrap(), ["1", "2"]);
        assert_eq!(rows.read(0, &texts(&["1", "2"])).await.unwrap().len(), 2);
        let sync = super::comparing::operation(OperationKind::Sync, "2", json!({"title": "two"}));
        rows.compare(0, &sync).await.unwrap()
    };
    assert_eq!(context.scope(reading).await, Comparison::Same);
    assert!(context.causes().reads.is_empty());
    tokio::task::spawn_blocking(move || running.shut_down(Duration::from_secs(1))).await.unwrap();
}

async fn unreadable<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    run::<DB>(
        &test,
        "DROP TABLE labels; CREATE TABLE labels (id VARCHAR(50) NOT NULL PRIMARY KEY, note VARCHAR(50));
         INSERT INTO labels VALUES ('secret', NULL)",
    );
    for error in [
        rows.read(LABEL, &texts(&["secret"])).await.unwrap_err(),
        rows.ids_after(LABEL, None, 5).await.unwrap_err(),
    ] {
        let said = chain(&error);
        assert!(
            said.contains("Label`") && said.contains("cannot be read") && !said.contains("secret"),
            "{said}"
        );
    }
}
