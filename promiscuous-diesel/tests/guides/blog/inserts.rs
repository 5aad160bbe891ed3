use diesel::prelude::*;

use super::establish_connection;
use super::models::NewUser;
use super::schema::users::dsl::*;

pub fn all_about_inserts() -> QueryResult<()> {
    let connection = &mut establish_connection();
    let mut inserted = diesel::insert_into(users).default_values().execute(connection)?;
    inserted += diesel::insert_into(users).values(name.eq("Sean")).execute(connection)?;
    inserted +=
        diesel::insert_into(users).values((name.eq("Tess"), hair_color.eq("Brown"))).execute(connection)?;
    inserted += diesel::insert_into(users)
        .values((name.eq("Ruby"), hair_color.eq(None::<String>)))
        .execute(connection)?;
    inserted += diesel::insert_into(users)
        .values((name.eq("Jim"), None::<diesel::dsl::Eq<hair_color, &str>>))
        .execute(connection)?;

    let one = NewUser { name: "Gordon", hair_color: None };
    inserted += diesel::insert_into(users).values(&one).execute(connection)?;
    let two =
        vec![NewUser { name: "Ann", hair_color: Some("Red") }, NewUser { name: "Bo", hair_color: None }];
    inserted += diesel::insert_into(users).values(&two).execute(connection)?;
    inserted += diesel::insert_into(users)
        .values(vec![(name.eq("Cy"), hair_color.eq("Grey")), (name.eq("Di"), hair_color.eq("White"))])
        .execute(connection)?;
    println!("{inserted} users were inserted");

    // The second one takes back what the first one has inserted.
    connection.transaction(|connection| {
        diesel::insert_into(users).values((id.eq(100), name.eq("kept"))).execute(connection)?;
        let undone = connection.transaction(|connection| {
            diesel::insert_into(users).values((id.eq(101), name.eq("undone"))).execute(connection)?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        println!("Undone: {}", undone.is_err());
        Ok::<_, diesel::result::Error>(())
    })?;
    let twice = diesel::insert_into(users).values((id.eq(100), name.eq("twice"))).execute(connection);
    println!("Inserted twice: {}", twice.is_ok());
    let ignored = diesel::insert_into(users).values((id.eq(100), name.eq("twice"))).on_conflict_do_nothing();
    println!("Ignored: {} inserted", ignored.execute(connection)?);
    let names: Vec<(i32, String, Option<String>)> =
        users.order(id).select((id, name, hair_color)).load(connection)?;
    println!("{names:?}");
    Ok(())
}
