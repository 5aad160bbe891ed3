//! Numbers, text, bytes, UUIDs and JSON.

use promiscuous_core::codec::{
    boolean, bytes, character, encode_bytes, encode_float, encode_json, float, integer, single, text, uuid,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::id::canonical;
use super::{Attribute, CodecError, IdPart};

/// Integers but `u8`, and the ids that they are.
macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Attribute for $integer {
            fn to_wire(&self) -> Result<Json, CodecError> {
                Ok(Json::from(*self))
            }

            fn from_wire(json: &Json) -> Result<Self, CodecError> {
                integer(json)
            }

            fn same(&self, other: &Self) -> bool {
                self == other
            }
        }

        integers!(@id $integer);
    )*};
    (@id $integer:ty) => {
        impl IdPart for $integer {
            fn to_id(&self) -> Result<String, CodecError> {
                Ok(self.to_string())
            }

            fn from_id(id: &str) -> Result<Self, CodecError> {
                canonical(id.parse().ok(), id)
            }
        }
    };
}

integers!(i8, i16, i32, i64, u16, u32, u64);

impl Attribute for u8 {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(Json::from(*self))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        integer(json)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    fn list_to_wire(list: &[Self]) -> Result<Json, CodecError> {
        Ok(encode_bytes(list))
    }

    fn list_from_wire(json: &Json) -> Result<Vec<Self>, CodecError> {
        bytes(json)
    }
}

integers!(@id u8);

impl Attribute for bool {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(Json::from(*self))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        boolean(json)
    }
}

impl IdPart for bool {
    fn to_id(&self) -> Result<String, CodecError> {
        Ok(self.to_string())
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        canonical(id.parse().ok(), id)
    }
}

// Floats are compared bit by bit, because 0 equals -0, and NaN not even itself.
impl Attribute for f32 {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(encode_float(f64::from(*self)))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        single(float(json)?)
    }

    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Attribute for f64 {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(encode_float(*self))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        float(json)
    }

    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Attribute for String {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(Json::from(self.as_str()))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        text(json, "a string").map(str::to_owned)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl IdPart for String {
    const TEXT: bool = true;

    fn to_id(&self) -> Result<String, CodecError> {
        Ok(self.clone())
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        Ok(id.to_owned())
    }
}

impl Attribute for char {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(Json::from(String::from(*self)))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        character(json)
    }
}

impl IdPart for char {
    fn to_id(&self) -> Result<String, CodecError> {
        Ok(String::from(*self))
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        canonical(id.parse().ok(), id)
    }
}

impl IdPart for Vec<u8> {
    fn to_id(&self) -> Result<String, CodecError> {
        encode_bytes(self).as_str().map(str::to_owned).ok_or_else(|| CodecError::expected("bytes"))
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        canonical(bytes(&Json::from(id)).ok(), id)
    }
}

impl Attribute for Uuid {
    fn to_wire(&self) -> Result<Json, CodecError> {
        Ok(Json::from(self.to_string()))
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        uuid(json)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl IdPart for Uuid {
    fn to_id(&self) -> Result<String, CodecError> {
        Ok(self.to_string())
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        canonical(id.parse().ok(), id)
    }
}

impl Attribute for Json {
    fn to_wire(&self) -> Result<Json, CodecError> {
        encode_json(self)
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        Ok(json.clone())
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}
