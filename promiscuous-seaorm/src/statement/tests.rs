//! One line for each shape of statement, with what is to be done about it.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{
    Alias, CommonTableExpression, Expr, ExprTrait, Func, OnConflict, Query, Table, UnionType,
};
use sea_orm::{
    DatabaseBackend::{MySql, Postgres, Sqlite},
    DbBackend, EntityTrait, QuerySelect, QueryTrait, Set, StatementBuilder,
};

use super::{FoundBy, Identity, Plan, Returned, Route, Rows, plan};
use crate::fixtures::{cake, cake_filling, fruit, models, pan};

const EXECUTE: Route = Route::Execute;
const QUERY: Route = Route::Query { returning: true };
const NO_RETURNING: Route = Route::Query { returning: false };
const STREAM: Route = Route::Stream;

/// The plan in a line.
fn line<S: StatementBuilder>(statement: &S, backend: DbBackend, route: Route) -> String {
    let key = |key: &Option<Vec<_>>| key.as_ref().map_or("matching", |_| "pinned");
    match plan(statement, &models(), backend, route) {
        Plan::Pass | Plan::Text(_) => "pass".into(),
        Plan::Refuse(error) => error.to_string(),
        Plan::Read(selection) => {
            let mut parts = Vec::new();
            for (model, identity) in &selection.sources {
                parts.push(match identity {
                    Identity::Columns(columns) => format!("{} by {}", model.name, columns.join("+")),
                    Identity::Pinned(id) => format!("{} is {id}", model.name),
                    Identity::Unknown => format!("{} unknown", model.name),
                });
            }
            if selection.hidden > 0 {
                parts.push(format!("{} hidden", selection.hidden));
            }
            format!("read {}", parts.join(", "))
        }
        Plan::Write(write) => {
            let rows = match &write.rows {
                Rows::Returned(Returned::Created(..)) => "created".into(),
                Rows::Returned(Returned::Upserted(..)) => "upserted".into(),
                Rows::Returned(Returned::Updated(..)) => "updated".into(),
                Rows::Returned(Returned::Deleted(..)) => "deleted".into(),
                Rows::Updated { key: k, .. } => format!("update {}", key(k)),
                Rows::Deleted { key: k, .. } => format!("delete {}", key(k)),
                Rows::Inserted { found_by, .. } => match found_by {
                    FoundBy::Inserted(set) => format!("inserted by {}", set.columns.join("+")),
                    FoundBy::Appeared(set) => format!("appeared by {}", set.columns.join("+")),
                    FoundBy::Touched(sets) => {
                        let sets: Vec<_> = sets.iter().map(|set| set.columns.join("+")).collect();
                        format!("touched by {}", sets.join(" or "))
                    }
                    FoundBy::Generated(count) => format!("generated {count}"),
                    FoundBy::GeneratedUnlessConflict => "generated unless conflict".into(),
                },
            };
            let count = write.count.map_or("?".into(), |count| count.to_string());
            format!("{} {count}: {rows}", write.model.name)
        }
    }
}

macro_rules! plans {
    ($($backend:ident $route:ident $statement:expr => $expected:expr;)*) => {
        $({
            let statement = $statement;
            let planned = line(&statement, $backend, $route);
            assert!(
                planned == $expected || ($expected.starts_with("refused") && planned.contains(&$expected[7..].trim())
                    && planned.contains("refused before it ran")),
                "{}\n  {planned}\n  expected: {}", stringify!($statement), $expected
            );
        })*
    };
}

fn named(name: &str) -> cake::ActiveModel {
    cake::ActiveModel { name: Set(name.into()), ..Default::default() }
}

fn known(id: i32) -> cake::ActiveModel {
    cake::ActiveModel { id: Set(id), ..named("x") }
}

fn coded(code: &str) -> cake::ActiveModel {
    cake::ActiveModel { code: Set(Some(code.into())), ..named("x") }
}

fn rename() -> UpdateMany<cake::Entity> {
    cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x"))
}

use sea_orm::UpdateMany;

fn on(column: cake::Column) -> OnConflict {
    OnConflict::column(column)
}

#[test]
fn inserts() {
    let update = |column| on(column).update_column(cake::Column::Name).to_owned();
    let nothing = |column| on(column).do_nothing().to_owned();
    let one = || cake::Entity::insert(named("x"));
    let two = || cake::Entity::insert_many([named("x"), named("y")]);
    let keyed = || cake::Entity::insert(known(1));
    let by_code = || cake::Entity::insert(coded("c"));
    let link = || cake_filling::ActiveModel { cake_id: Set(1), filling_id: Set(2) };
    let mut copied = Query::insert();
    let names = Query::select().column(cake::Column::Name).from(cake::Entity).take();
    copied.into_table(cake::Entity).columns([cake::Column::Name]).select_from(names).unwrap();
    let mut computed = Query::insert();
    computed.into_table(fruit::Entity).columns([fruit::Column::Id, fruit::Column::Name]);
    computed.values_panic([Expr::cust("gen_random_uuid()"), Expr::value("x")]);
    let mut defaults = Query::insert();
    defaults.into_table(cake::Entity).or_default_values_many(3);
    let mut replace = keyed().into_query();
    replace.replace();
    let generated_null = {
        let mut insert = Query::insert();
        insert.into_table(cake::Entity).columns([cake::Column::Id, cake::Column::Name]);
        insert.values_panic([Expr::value(Option::<i32>::None), Expr::value("x")]).take()
    };
    let schema_qualified = {
        let mut insert = Query::insert();
        insert.into_table((Alias::new("shop"), Alias::new("cake"))).columns([cake::Column::Name]);
        insert.values_panic([Expr::value("x")]).take()
    };
    plans! {
        Postgres QUERY one().into_query() => "cake 1: created";
        Sqlite QUERY two().into_query() => "cake 2: created";
        MySql QUERY one().into_query() => "refused returns no rows";
        Sqlite NO_RETURNING one().into_query() => "refused returns no rows";
        Postgres STREAM one().into_query() => "refused cannot be streamed";
        Postgres EXECUTE one().into_query() => "refused primary key is not known";
        Sqlite EXECUTE one().into_query() => "cake 1: generated 1";
        MySql EXECUTE one().into_query() => "cake 1: generated 1";
        Sqlite EXECUTE two().into_query() => "refused primary key is not known";
        MySql EXECUTE two().into_query() => "cake 2: generated 2";
        Postgres EXECUTE keyed().into_query() => "cake 1: inserted by id";
        MySql EXECUTE cake::Entity::insert_many([known(1), known(2)]).into_query() => "cake 2: inserted by id";
        MySql EXECUTE cake::Entity::insert_many([known(1), named("y")]).into_query() => "refused primary key is not known";
        MySql EXECUTE generated_null.clone() => "cake 1: generated 1";
        Postgres EXECUTE generated_null => "refused primary key is not known";
        Postgres EXECUTE cake_filling::Entity::insert(link()).into_query() => "cake_filling 1: inserted by cake_id+filling_id";
        Postgres EXECUTE computed.clone() => "refused primary key is not known";
        Postgres QUERY computed => "fruit 1: created";
        Postgres QUERY copied.clone() => "cake ?: created";
        MySql EXECUTE copied => "refused INSERT … SELECT";
        MySql EXECUTE defaults.clone() => "cake 3: generated 3";
        Postgres QUERY defaults => "cake 3: created";
        MySql EXECUTE replace.clone() => "refused REPLACE";
        Sqlite QUERY replace => "refused REPLACE";
        Postgres QUERY schema_qualified => "cake 1: created";
        Postgres QUERY keyed().on_conflict(nothing(cake::Column::Id)).into_query() => "cake 1: created";
        Postgres QUERY keyed().on_conflict(update(cake::Column::Id)).into_query() => "cake 1: upserted";
        Postgres EXECUTE keyed().on_conflict(nothing(cake::Column::Id)).into_query() => "cake 1: appeared by id";
        Postgres EXECUTE keyed().on_conflict(update(cake::Column::Id)).into_query() => "cake 1: touched by id";
        Postgres EXECUTE keyed().on_conflict(update(cake::Column::Code)).into_query() => "refused which rows an upsert meets";
        Postgres EXECUTE by_code().on_conflict(update(cake::Column::Code)).into_query() => "cake 1: touched by code";
        Postgres EXECUTE by_code().on_conflict(nothing(cake::Column::Code)).into_query() => "cake 1: appeared by code";
        Postgres EXECUTE one().on_conflict(nothing(cake::Column::Id)).into_query() => "refused primary key is not known";
        MySql EXECUTE keyed().on_conflict(update(cake::Column::Id)).into_query() => "cake 1: touched by id";
        MySql EXECUTE cake::Entity::insert(cake::ActiveModel { id: Set(1), ..coded("c") })
            .on_conflict(update(cake::Column::Code)).into_query() => "cake 1: touched by id or code";
        MySql EXECUTE by_code().on_conflict(OnConflict::new().update_column(cake::Column::Name).to_owned())
            .into_query() => "refused which rows an upsert meets";
        MySql EXECUTE one().on_conflict(OnConflict::new().do_nothing_on([cake::Column::Id]).to_owned())
            .into_query() => "cake 1: generated unless conflict";
        MySql EXECUTE two().on_conflict(OnConflict::new().do_nothing().to_owned()).into_query() => "refused primary key is not known";
        Postgres EXECUTE by_code().on_conflict(on(cake::Column::Code).value(cake::Column::Code, Expr::value("d")).to_owned())
            .into_query() => "refused which rows an upsert meets";
        Postgres QUERY keyed().on_conflict(on(cake::Column::Code).value(cake::Column::Id, Expr::value(9)).to_owned())
            .into_query() => "refused primary key cannot change";
        Postgres QUERY keyed().on_conflict(OnConflict::constraint("cake_code").update_column(cake::Column::Name).to_owned())
            .into_query() => "cake 1: upserted";
        Postgres EXECUTE pan::Entity::insert(pan::ActiveModel { name: Set("x".into()), ..Default::default() })
            .into_query() => "pass";
    }
}

#[test]
fn updates() {
    let mut limited = rename().into_query();
    limited.limit(1);
    let mut from = rename().into_query();
    from.from(pan::Entity);
    let mut chained = rename().into_query();
    chained.and_or_where(sea_orm::sea_query::LogicalChainOper::And(Expr::col(cake::Column::Id).eq(1)));
    let anded = chained.clone();
    chained.and_or_where(sea_orm::sea_query::LogicalChainOper::Or(Expr::col(cake::Column::Id).eq(2)));
    let by_id = |id| cake::Column::Id.eq(id);
    let fruits = || fruit::Entity::update_many().col_expr(fruit::Column::Name, Expr::value("x"));
    let text_key = Expr::col(cake::Column::Id).eq("1");
    plans! {
        Postgres QUERY rename().into_query() => "cake ?: updated";
        Postgres QUERY rename().filter(by_id(1)).into_query() => "cake 1: updated";
        MySql QUERY rename().into_query() => "refused returns no rows";
        Postgres STREAM rename().into_query() => "refused cannot be streamed";
        Postgres EXECUTE rename().into_query() => "cake ?: update matching";
        MySql EXECUTE rename().filter(by_id(1)).into_query() => "cake 1: update pinned";
        MySql EXECUTE rename().filter(by_id(1)).filter(cake::Column::Name.eq("y")).into_query() => "cake 1: update pinned";
        MySql EXECUTE rename().filter(cake::Column::Id.is_in([1, 2])).into_query() => "cake ?: update matching";
        MySql EXECUTE rename().filter(by_id(1).or(by_id(2))).into_query() => "cake ?: update matching";
        MySql EXECUTE rename().filter(by_id(1).not()).into_query() => "cake ?: update matching";
        MySql EXECUTE rename().filter(text_key).into_query() => "cake 1: update matching";
        Sqlite EXECUTE fruits().filter(fruit::Column::Id.eq(Uuid::nil())).into_query() => "fruit 1: update pinned";
        Sqlite EXECUTE anded => "cake 1: update pinned";
        Sqlite EXECUTE chained => "refused chain of ORs";
        Sqlite EXECUTE limited.clone() => "refused LIMIT";
        Sqlite QUERY limited => "refused LIMIT";
        Postgres EXECUTE from => "refused FROM";
        Postgres EXECUTE Query::update().table(cake::Entity).value(cake::Column::Id, 5).take() => "refused primary key cannot change";
        Postgres EXECUTE Query::update().table(cake::Entity).value(cake::Column::Notes, "x").take() => "pass";
        Postgres QUERY Query::update().table(cake::Entity).value(cake::Column::Notes, "x").take() => "pass";
        Sqlite EXECUTE Query::update().table(Alias::new("Cake")).value(Alias::new("NAME"), "x").take() => "cake ?: update matching";
        Postgres EXECUTE Query::update().table(Alias::new("Cake")).value(cake::Column::Name, "x").take() => "pass";
        Postgres EXECUTE Query::update().table(pan::Entity).value(pan::Column::Name, "x").take() => "pass";
        Postgres EXECUTE Query::update().table((Alias::new("shop"), Alias::new("cake"))).value(cake::Column::Name, "x").take()
            => "cake ?: update matching";
    }
}

#[test]
fn deletes() {
    let mut limited = Query::delete();
    limited.from_table(cake::Entity).limit(1);
    let in_cte = |dml: sea_orm::sea_query::DeleteStatement| {
        let mut cte = CommonTableExpression::new();
        cte.query(dml).table_name("d");
        Query::with().cte(cte).to_owned().query(Query::select().column(Alias::new("id")).from("d").take())
    };
    let with_select = {
        let mut cte = CommonTableExpression::new();
        cte.query(Query::select().column(cake::Column::Id).from(cake::Entity).take()).table_name("d");
        Query::with().cte(cte).to_owned().query(Query::select().column(Alias::new("id")).from("d").take())
    };
    let delete = || Query::delete().from_table(cake::Entity).take();
    let pans = Query::select().column(pan::Column::Id).from(pan::Entity).take();
    let one = known(1);
    plans! {
        Postgres EXECUTE delete() => "cake ?: delete matching";
        Postgres QUERY delete() => "cake ?: deleted";
        MySql EXECUTE cake::Entity::delete(one).validate().unwrap().into_query() => "cake 1: delete pinned";
        Sqlite EXECUTE cake::Entity::delete_many().filter(cake::Column::Name.eq("x")).into_query() => "cake ?: delete matching";
        Sqlite EXECUTE cake::Entity::delete_many().filter(cake::Column::Id.in_subquery(pans)).into_query() => "cake ?: delete matching";
        Sqlite EXECUTE cake_filling::Entity::delete_many().filter(cake_filling::Column::CakeId.eq(1)).into_query()
            => "cake_filling ?: delete matching";
        Sqlite EXECUTE limited => "refused LIMIT";
        Postgres QUERY in_cte(delete()) => "refused inside of another statement";
        Postgres QUERY in_cte(Query::delete().from_table(pan::Entity).take()) => "pass";
        Postgres QUERY with_select => "read 1 hidden";
        Sqlite EXECUTE Query::delete().from_table(pan::Entity).take() => "pass";
        Postgres EXECUTE Table::truncate().table(cake::Entity).take() => "refused TRUNCATE";
        Postgres EXECUTE Table::truncate().table(pan::Entity).take() => "pass";
        Postgres EXECUTE Table::drop().table(cake::Entity).take() => "pass";
        Postgres EXECUTE Custom("DELETE FROM cake") => "refused raw SQL";
        Postgres QUERY Custom("SELECT * FROM cake") => "pass";
        Sqlite EXECUTE Custom("BEGIN") => "refused BEGIN";
    }
}

#[test]
fn selects() {
    let by_id = || cake::Entity::find_by_id(1);
    let names = || cake::Entity::find().select_only().column(cake::Column::Name);
    let count = Query::select()
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from_subquery(cake::Entity::find().into_query(), Alias::new("sub"))
        .take();
    let mut united = cake::Entity::find().into_query();
    united.union(UnionType::All, cake::Entity::find().into_query());
    let locked = cake::Entity::find().lock_exclusive().into_query();
    let star = Query::select().column(sea_orm::sea_query::Asterisk).from(cake::Entity).take();
    let custom = Query::select().expr(Expr::cust_with_values("a ? $1 ?", [1, 2])).from(cake::Entity).take();
    plans! {
        Sqlite QUERY cake::Entity::find().into_query() => "read cake by id";
        Sqlite EXECUTE cake::Entity::find().into_query() => "read cake by id";
        Sqlite STREAM cake::Entity::find().into_query() => "read cake by id";
        Sqlite QUERY by_id().into_query() => "read cake by id";
        Sqlite QUERY names().into_query() => "read cake unknown";
        Sqlite QUERY names().filter(cake::Column::Id.eq(7)).into_query() => "read cake is 7";
        Sqlite QUERY names().filter(cake::Column::Id.gt(7)).into_query() => "read cake unknown";
        Sqlite QUERY cake_filling::Entity::find().into_query() => "read cake_filling by cake_id+filling_id";
        Sqlite QUERY fruit::Entity::find().find_also_related(cake::Entity).into_query() => "read fruit by A_id, cake by B_id";
        Sqlite QUERY cake::Entity::find().find_with_related(fruit::Entity).into_query() => "read cake by A_id, fruit by B_id";
        Sqlite QUERY count => "read 1 hidden";
        Sqlite QUERY united => "read cake unknown";
        Postgres QUERY locked => "read cake by id";
        Postgres QUERY star => "read cake by id";
        Postgres QUERY custom => "read cake unknown";
        Sqlite QUERY pan::Entity::find().into_query() => "pass";
    }
}

/// A statement that an app invented.
struct Custom(&'static str);

impl StatementBuilder for Custom {
    fn build(&self, backend: &DbBackend) -> sea_orm::Statement {
        sea_orm::Statement::from_string(*backend, self.0)
    }
}
