//! CloudWatch's protocol as the SDK speaks it: Smithy RPC v2 CBOR, gzipped if long. A request is read into the flat
//! parameters of the query protocol that it took the place of, so that what is behind knows one form only.

use crate::error::ApiError;
use crate::query::Params;
use crate::world::time_text;
use flate2::read::GzDecoder;
use minicbor::Encoder;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use std::collections::BTreeMap;
use std::io::Read;

/// Type of requests and answers.
pub const CONTENT_TYPE: &str = "application/cbor";
/// Structures in structures; PutMetricData has four.
const DEPTH_MAX: u32 = 8;

/// Reads a request's body. `Action` and `Version` are set as the query protocol has them.
pub fn params(action: &str, version: &str, body: &[u8]) -> Result<Params, ApiError> {
    let mut flat = BTreeMap::new();
    let mut decoder = Decoder::new(body);
    flatten(&mut decoder, "", 0, &mut flat).map_err(|error| malformed(&error.to_string()))?;
    flat.insert("Action".to_owned(), action.to_owned());
    flat.insert("Version".to_owned(), version.to_owned());
    Ok(Params::from(flat))
}

/// Unpacks a gzipped body of at most `bytes_max`.
pub fn unzip(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut plain = Vec::new();
    let read = GzDecoder::new(body).take(limit.saturating_add(1)).read_to_end(&mut plain);
    read.map_err(|error| malformed(&error.to_string()))?;
    if plain.len() > bytes_max {
        return Err(malformed(&format!("more than {bytes_max} bytes")));
    }
    Ok(plain)
}

fn malformed(why: &str) -> ApiError {
    ApiError::new(400, "SerializationException", why)
}

/// Puts one value into the map under `key`: members of a structure as `key.Name`, of a list as `key.member.N`.
fn flatten(
    decoder: &mut Decoder<'_>,
    key: &str,
    depth: u32,
    flat: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::message("nested too deeply"));
    }
    let text = match decoder.datatype()? {
        Type::Map | Type::MapIndef => {
            let length = decoder.map()?;
            return each(decoder, length, |decoder, _| {
                let name = text(decoder)?;
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(decoder, &key, depth + 1, flat)
            });
        }
        Type::Array | Type::ArrayIndef => {
            let length = decoder.array()?;
            return each(decoder, length, |decoder, nth| {
                flatten(decoder, &format!("{key}.member.{nth}"), depth + 1, flat)
            });
        }
        Type::String | Type::StringIndef => text(decoder)?,
        Type::Bool => decoder.bool()?.to_string(),
        Type::F16 => decoder.f16()?.to_string(),
        Type::F32 => decoder.f32()?.to_string(),
        Type::F64 => decoder.f64()?.to_string(),
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => decoder.int()?.to_string(),
        Type::Tag => time(decoder, depth + 1)?,
        other @ (Type::Null
        | Type::Undefined
        | Type::Simple
        | Type::Bytes
        | Type::BytesIndef
        | Type::Break
        | Type::Unknown(_)) => return Err(Error::type_mismatch(other)),
    };
    flat.insert(key.to_owned(), text);
    Ok(())
}

/// Runs `read` for each member, counted from 1.
fn each(
    decoder: &mut Decoder<'_>,
    length: Option<u64>,
    mut read: impl FnMut(&mut Decoder<'_>, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut nth = 1;
    while length.is_none_or(|length| nth <= length) {
        if length.is_none() && decoder.datatype()? == Type::Break {
            return decoder.skip();
        }
        read(decoder, nth)?;
        nth += 1;
    }
    Ok(())
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, Error> {
    decoder.str_iter()?.collect()
}

/// A time: tag 1 and seconds of the epoch.
fn time(decoder: &mut Decoder<'_>, depth: u32) -> Result<String, Error> {
    const EPOCH_TAG: u64 = 1;
    if decoder.tag()?.as_u64() != EPOCH_TAG {
        return Err(Error::message("a tag that is no time"));
    }
    // Whole numbers and floating-point ones of any width.
    let mut number = BTreeMap::new();
    flatten(decoder, "", depth, &mut number)?;
    let secs = number.get("").and_then(|text| text.parse().ok());
    let secs: f64 = secs.ok_or_else(|| Error::message("a time that is no number"))?;
    let time = std::time::Duration::try_from_secs_f64(secs).map_err(Error::message)?;
    Ok(time_text(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// The answer of an operation that returns nothing.
#[must_use]
pub fn empty_answer() -> Vec<u8> {
    written(|encoder| encoder.map(0).map(drop))
}

/// A refusal.
#[must_use]
pub fn error_answer(error: &ApiError) -> Vec<u8> {
    written(|encoder| {
        encoder.map(2)?.str("__type")?.str(error.code)?.str("message")?.str(&error.message)?.ok()
    })
}

fn written(
    write: impl FnOnce(
        &mut Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    match write(&mut encoder) {
        Ok(()) => encoder.into_writer(),
        // Writing to memory does not fail.
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn structures_lists_and_times_become_flat_parameters() {
        let body = written(|encoder| {
            encoder.begin_map()?.str("Namespace")?.str("N")?;
            encoder.str("MetricData")?.array(2)?;
            encoder.begin_map()?.str("MetricName")?.str("a")?.str("Value")?.f64(1.5)?;
            encoder.str("Timestamp")?.tag(minicbor::data::Tag::new(1))?.f64(1000.25)?;
            encoder
                .str("Dimensions")?
                .begin_array()?
                .map(1)?
                .str("Name")?
                .str("D")?
                .end()?
                .end()?;
            encoder.map(2)?.str("Value")?.u8(3)?.str("Strict")?.bool(true)?;
            encoder.end()?.ok()
        });
        let params = params("PutMetricData", "V", &body).unwrap();
        let flat: Vec<_> =
            params.flat().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            flat,
            [
                "Action=PutMetricData",
                "MetricData.member.1.Dimensions.member.1.Name=D",
                "MetricData.member.1.MetricName=a",
                "MetricData.member.1.Timestamp=1970-01-01T00:16:40.250Z",
                "MetricData.member.1.Value=1.5",
                "MetricData.member.2.Strict=true",
                "MetricData.member.2.Value=3",
                "Namespace=N",
                "Version=V",
            ]
        );
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let deep = written(|encoder| {
            (0..20).try_for_each(|_| encoder.array(1).map(drop))?;
            encoder.bool(true)?.ok()
        });
        for body in [deep, vec![0xc1; 100_000]] {
            assert_eq!(params("A", "V", &body).unwrap_err().code, "SerializationException");
        }
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut zip, &[7; 1000]).unwrap();
        let zipped = zip.finish().unwrap();
        assert_eq!(unzip(&zipped, 1000).unwrap(), [7; 1000]);
        assert!(unzip(&zipped, 999).unwrap_err().message.contains("more than 999 bytes"));
        assert!(unzip(b"plain", 999).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_parameters_or_a_refusal(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = params("A", "V", &body) {
                prop_assert_eq!(error.status, 400);
            }
        }
    }
}
