use super::*;

on_each! {
    what_applying_would_change_is_named = named;
    values_that_are_equal_are_no_difference_however_they_are_written = equal;
    virtual_attributes_are_compared_by_what_their_setters_set = setters;
    what_cannot_be_applied_cannot_be_compared_either = misfits;
}

pub(super) fn operation(kind: OperationKind, id: &str, attributes: Json) -> Operation {
    Operation {
        operation: kind,
        endpoint: Endpoint::parse("crowdtap/item").unwrap(),
        types: vec!["Item".into()],
        id: id.into(),
        attributes: attributes.as_object().cloned(),
    }
}

fn different(names: &[&str]) -> Comparison {
    Comparison::Different(texts(names))
}

/// What the item 1 is filled with.
fn values() -> Json {
    json!({
        "name": "one", "price": "1.50", "at": "2025-01-02T03:04:05.678", "weight": 0.1, "shout": "hi", "sight": 3,
    })
}

fn with(changes: Json) -> Json {
    let mut values = values();
    let (Some(all), Some(changes)) = (values.as_object_mut(), changes.as_object()) else { panic!() };
    all.extend(changes.clone());
    values
}

fn with_item<DB: Tested>(test: &TestDatabase) -> DieselSubscribedRows<DB> {
    let rows = prepare::<DB>(test);
    run::<DB>(test, "INSERT INTO items VALUES (1, 'one', 1.5, '2025-01-02 03:04:05.678', 0.1, 'hi!', 3)");
    rows
}

/// Compares the item 1 with its values, but for these.
async fn compared<DB: Tested>(rows: &DieselSubscribedRows<DB>, changes: Json) -> Comparison {
    rows.compare(ITEM, &operation(OperationKind::Sync, "1", with(changes))).await.unwrap()
}

async fn named<DB: Tested>(test: TestDatabase) {
    let rows = with_item::<DB>(&test);
    assert_eq!(compared(&rows, json!({})).await, Comparison::Same);
    assert_eq!(compared(&rows, json!({"name": "two"})).await, different(&["name"]));
    let changed = json!({"weight": 1, "name": "two", "at": "2025-01-02T03:04:06"});
    assert_eq!(compared(&rows, changed).await, different(&["name", "at", "weight"]));
    // Whatever is not subscribed makes no difference.
    assert_eq!(compared(&rows, json!({"note": "x", "id": 2})).await, Comparison::Same);
    for kind in [OperationKind::Create, OperationKind::Update, OperationKind::Sync] {
        let of = |id| operation(kind, id, values());
        assert_eq!(rows.compare(ITEM, &of("1")).await.unwrap(), Comparison::Same);
        assert_eq!(rows.compare(ITEM, &of("2")).await.unwrap(), Comparison::Missing);
    }
    // Of what is gone at the publisher's, only whether it is here can be said.
    for kind in [OperationKind::Destroy, OperationKind::Sync] {
        let of = |id| operation(kind, id, Json::Null);
        assert_eq!(rows.compare(ITEM, &of("1")).await.unwrap(), Comparison::Same);
        assert_eq!(rows.compare(ITEM, &of("2")).await.unwrap(), Comparison::Missing);
    }
    // Nothing was written, and no callback was called: it would have panicked.
    let read = rows.read(ITEM, &texts(&["1", "2"])).await.unwrap();
    assert_eq!((read.len(), &read[0].attributes["name"]), (1, &json!("one")));
    // A row with a key of its own is found by the publisher's id.
    run::<DB>(&test, "INSERT INTO copies (origin, title) VALUES (NULL, 'mine'), ('a,1', 'theirs')");
    let copy = |id, title| operation(OperationKind::Sync, id, json!({"title": title}));
    assert_eq!(rows.compare(COPY, &copy("a,1", "theirs")).await.unwrap(), Comparison::Same);
    assert_eq!(rows.compare(COPY, &copy("a,1", "mine")).await.unwrap(), different(&["title"]));
    assert_eq!(rows.compare(COPY, &copy("a,2", "mine")).await.unwrap(), Comparison::Missing);
}

async fn equal<DB: Tested>(test: TestDatabase) {
    let rows = with_item::<DB>(&test);
    for same in [
        json!({"price": "1.5"}),
        json!({"price": "1.500000000"}),
        json!({"price": "01.5"}),
        json!({"at": "2025-01-02T03:04:05.678000"}),
        json!({"weight": 0.1}),
        json!({"weight": 1e-1}),
    ] {
        assert_eq!(compared(&rows, same.clone()).await, Comparison::Same, "{same}");
    }
    for (changed, name) in [
        (json!({"price": "1.5001"}), "price"),
        (json!({"price": "-1.5"}), "price"),
        (json!({"at": "2025-01-02T03:04:05.678001"}), "at"),
        (json!({"weight": 0.100_000_000_000_000_02}), "weight"),
    ] {
        assert_eq!(compared(&rows, changed).await, different(&[name]));
    }
}

async fn setters<DB: Tested>(test: TestDatabase) {
    let rows = with_item::<DB>(&test);
    assert_eq!(compared(&rows, json!({"shout": "ho"})).await, different(&["shout"]));
    assert_eq!(compared(&rows, json!({"sight": 4})).await, different(&["sight"]));
    let both = json!({"shout": "ho", "sight": 4, "name": "two"});
    assert_eq!(compared(&rows, both).await, different(&["name", "shout", "sight"]));
    for (shout, wanted) in [("refused", "`set_shout`: too loud"), ("panic", "it panicked: far too loud")] {
        let sync = operation(OperationKind::Sync, "1", with(json!({"shout": shout})));
        let error = rows.compare(ITEM, &sync).await.unwrap_err();
        let ApplyError::Callback { reason, .. } = &error else { panic!("{error:?}") };
        assert_eq!(reason, wanted);
    }
    // The connection is as good as before.
    assert_eq!(compared(&rows, json!({})).await, Comparison::Same);
}

async fn misfits<DB: Tested>(test: TestDatabase) {
    let rows = with_item::<DB>(&test);
    let sync = |id, attributes| operation(OperationKind::Sync, id, attributes);
    for (id, wanted) in [("x", "i64"), ("1,2", "1 columns and not of 2"), ("%ff", "an encoded id")] {
        let error = rows.compare(ITEM, &sync(id, values())).await.unwrap_err();
        assert!(matches!(error, ApplyError::WrongId { .. }) && error.to_string().contains(wanted), "{error}");
    }
    let error = rows.compare(ITEM, &sync("1", with(json!({"weight": "secret"})))).await.unwrap_err();
    assert!(matches!(&error, ApplyError::WrongType { attribute, .. } if attribute == "weight"), "{error}");
    assert!(!chain(&error).contains("secret"), "{error}");
    let error = rows.compare(ITEM, &sync("1", json!({"name": "one"}))).await.unwrap_err();
    assert!(
        matches!(&error, ApplyError::MissingAttribute { attribute, .. } if attribute == "price"),
        "{error}"
    );
    // What may be missing is no difference.
    let relaxed = rows_of::<DB>(&test, DB::subscribed(), ApplyOptions::default().relaxed_schema(true));
    let compared = async |attributes| relaxed.compare(ITEM, &sync("1", attributes)).await.unwrap();
    assert_eq!(compared(json!({"name": "one"})).await, Comparison::Same);
    assert_eq!(compared(json!({"name": "two"})).await, different(&["name"]));
    let error = rows.compare(7, &sync("1", values())).await.unwrap_err();
    assert!(chain(&error).contains("no subscribed model 7"), "{}", chain(&error));
}
