//! What both libraries of dates and times need said of each of their types.

/// How a type is written, and read back; in an id the same, but for moments in UTC.
macro_rules! moments {
    ($($moment:ty: $expected:ident, |$value:ident| $write:expr, |$id:ident| $write_id:expr, |$text:ident| $read:expr;)*) => {$(
        impl $crate::attribute::Attribute for $moment {
            fn to_wire(&self) -> Result<::serde_json::Value, $crate::attribute::CodecError> {
                let $value = *self;
                Ok(::serde_json::Value::from($write))
            }

            fn from_wire(json: &::serde_json::Value) -> Result<Self, $crate::attribute::CodecError> {
                let $text = ::promiscuous_core::codec::text(json, ::promiscuous_core::codec::moment::$expected)?;
                $read
            }

            fn same(&self, other: &Self) -> bool {
                self == other
            }
        }

        impl $crate::attribute::IdPart for $moment {
            fn to_id(&self) -> Result<String, $crate::attribute::CodecError> {
                let $id = *self;
                Ok($write_id)
            }

            fn from_id(id: &str) -> Result<Self, $crate::attribute::CodecError> {
                $crate::attribute::id::canonical(<Self as $crate::attribute::Attribute>::from_wire(&::serde_json::Value::from(id)).ok(), id)
            }
        }
    )*};
}

pub(super) use moments;
