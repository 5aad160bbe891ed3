//! Models with every type of primary key, the same on both sides, and copies that keep the publisher's id beside a key of their own.

macro_rules! keyed {
    ($(#[doc = $doc:literal] $module:ident, $table:literal, { $($key:ident: $type:ty),* };)*) => {
        $(
            #[doc = $doc]
            // SeaORM generates more than is used here.
            #[allow(dead_code)]
            pub mod $module {
                use promiscuous_seaorm::{Publish, Subscribe};
                use sea_orm::entity::prelude::*;

                #[sea_orm::model]
                #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
                #[sea_orm(table_name = $table)]
                #[publish(attributes(note))]
                #[subscribe(attributes(note))]
                #[allow(missing_docs)]
                pub struct Model {
                    $(#[sea_orm(primary_key, auto_increment = false)]
                    pub $key: $type,)*
                    pub note: String,
                }

                impl ActiveModelBehavior for ActiveModel {}
            }
        )*
    };
}

keyed! {
    /// A text.
    word, "words", { id: String };
    /// A UUID.
    thing, "things", { id: Uuid };
    /// Two columns.
    pair, "pairs", { left_id: i32, right_id: String };
    /// A date and a moment.
    day, "days", { id: Date, at: DateTimeUtc };
}

/// Has a key of its own, and the publisher's beside it.
pub mod word_copy {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "word_copies")]
    #[subscribe(as = "Word", attributes(note), foreign_key = "word_id")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub word_id: String,
        pub note: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The same for a composite key, kept as it is written.
pub mod pair_copy {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "pair_copies")]
    #[subscribe(as = "Pair", attributes(note), foreign_key = "pair_id")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub pair_id: String,
        pub note: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
