use promiscuous_core::operation::OperationKind;
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value as Json, json};

use super::*;
use crate::applier::tests::{database, joe, joe_with, membership, operation, user};
use crate::subscription::Subscribe;

/// Applies these rows at once, by their ids and attributes.
async fn send<E: Subscribe>(
    db: &DatabaseConnection,
    rows: &[(&str, Json)],
    options: ApplyOptions,
) -> Result<(), ApplyError> {
    let plan = Plan::new(E::declaration()).unwrap();
    let sync = |(id, attributes): &(&str, Json)| {
        operation(OperationKind::Sync, "crowdtap/user", id, attributes.clone())
    };
    let operations: Vec<Operation> = rows.iter().map(sync).collect();
    apply_all(&plan, db, &operations.iter().collect::<Vec<_>>(), options).await
}

fn called(name: &str) -> Json {
    joe_with("name", json!(name))
}

async fn users(db: &DatabaseConnection) -> Vec<String> {
    let users = user::Entity::find().all(db).await.unwrap();
    users.into_iter().map(|user| format!("{} {} {} {}", user.id, user.name, user.badge, user.saves)).collect()
}

#[tokio::test]
async fn hooks_and_setters_run_for_every_row_and_for_none_that_is_as_it_was() {
    // given
    let db = database().await;
    send::<user::Entity>(&db, &[("1", called("Ann")), ("2", called("Bob"))], ApplyOptions::default())
        .await
        .unwrap();
    assert_eq!(users(&db).await, ["1 Ann [J] 1", "2 Bob [J] 1"]);
    // when some of them come again, the only one with another name
    let rows = ["4", "2", "3"].map(|id| (id, called(id)));
    send::<user::Entity>(&db, &rows, ApplyOptions::default()).await.unwrap();
    // then
    assert_eq!(users(&db).await, ["1 Ann [J] 1", "2 2 [J] 2", "3 3 [J] 1", "4 4 [J] 1"]);
}

#[tokio::test]
async fn a_name_that_must_be_unique_may_go_from_one_row_to_another() {
    // given
    let db = database().await;
    send::<user::Entity>(&db, &[("5", called("Ann")), ("6", called("Bob"))], ApplyOptions::default())
        .await
        .unwrap();
    // when Ann is somebody else from now on, who stands behind
    let rows = [("5", called("Cleo")), ("7", called("Ann")), ("6", called("Dan")), ("8", called("Bob"))];
    send::<user::Entity>(&db, &rows, ApplyOptions::default()).await.unwrap();
    // then
    assert_eq!(users(&db).await, ["5 Cleo [J] 2", "6 Dan [J] 2", "7 Ann [J] 1", "8 Bob [J] 1"]);
}

#[tokio::test]
async fn what_the_model_s_own_code_refuses_or_the_database_is_an_error() {
    let db = database().await;
    let error = async |second: Json| {
        send::<user::Entity>(&db, &[("1", called("Ann")), ("2", second)], ApplyOptions::default()).await
    };
    assert!(matches!(error(called("refused")).await, Err(ApplyError::Callback { id, .. }) if id == "2"));
    assert!(matches!(error(called("panic")).await, Err(ApplyError::Callback { .. })));
    assert!(matches!(error(called("refused afterwards")).await, Err(ApplyError::Callback { .. })));
    user::Entity::delete_many().exec(&db).await.unwrap();
    assert!(
        matches!(error(joe_with("mood", json!("x"))).await, Err(ApplyError::WrongType { id, .. }) if id == "2")
    );
    assert!(matches!(error(called("Ann")).await, Err(ApplyError::Database { .. })));
    assert!(matches!(error(json!({})).await, Err(ApplyError::MissingAttribute { id, .. }) if id == "2"));
    assert_eq!(user::Entity::find().count(&db).await.unwrap(), 0);
}

#[tokio::test]
async fn a_column_that_is_not_told_has_what_the_table_says() {
    // given
    let db = database().await;
    db.execute_unprepared("DROP TABLE memberships").await.unwrap();
    db.execute_unprepared(
        "CREATE TABLE memberships (team TEXT, user_id BLOB, role TEXT DEFAULT 'guest', PRIMARY KEY (team, user_id))",
    )
    .await
    .unwrap();
    let id = |n: u32| format!("a,00000000-0000-0000-0000-00000000000{n}");
    // when
    let ids = [id(1), id(2), id(3), id(4)];
    let roles = [json!({"role": "owner"}), json!({}), json!({}), json!({"role": null})];
    let rows: Vec<(&str, Json)> = ids.iter().map(String::as_str).zip(roles).collect();
    send::<membership::Entity>(&db, &rows, ApplyOptions::default().relaxed_schema(true)).await.unwrap();
    // then
    let members = membership::Entity::find().all(&db).await.unwrap();
    let roles: Vec<_> = members.iter().map(|member| member.role.as_deref()).collect();
    assert_eq!(roles, [Some("owner"), Some("guest"), Some("guest"), None]);
}

#[tokio::test]
async fn a_row_may_refer_to_one_that_comes_before_it_and_is_new() {
    // given a table that refers to itself, and a row
    let db = database().await;
    for statement in [
        "DROP TABLE memberships",
        "CREATE TABLE memberships (team TEXT UNIQUE, user_id BLOB, role TEXT REFERENCES memberships (team), \
         PRIMARY KEY (team, user_id))",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    let id = |team: &str| format!("{team},00000000-0000-0000-0000-000000000001");
    let none = || json!({ "role": null });
    send::<membership::Entity>(&db, &[(&id("a"), none())], ApplyOptions::default()).await.unwrap();
    // when
    let (new, refers) = (id("b"), id("a"));
    let rows = [(new.as_str(), none()), (refers.as_str(), json!({ "role": "b" }))];
    send::<membership::Entity>(&db, &rows, ApplyOptions::default()).await.unwrap();
    // then
    let roles = membership::Entity::find().all(&db).await.unwrap().into_iter().map(|member| member.role);
    assert_eq!(roles.collect::<Vec<_>>(), [Some("b".to_owned()), None]);
}

#[tokio::test]
async fn one_row_or_none_is_applied_as_ever() {
    let db = database().await;
    send::<user::Entity>(&db, &[], ApplyOptions::default()).await.unwrap();
    send::<user::Entity>(&db, &[("5", joe())], ApplyOptions::default()).await.unwrap();
    assert_eq!(users(&db).await, ["5 Joe [J] 1"]);
}
