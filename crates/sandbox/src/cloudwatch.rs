//! The CloudWatch API, version 2010-08-01: what comes in. Metrics and alarms are read from `/sandbox/state`.

use crate::error::ApiError;
use crate::query::{Params, parse_time};
use crate::world::{MetricKey, Point, World};
use std::collections::BTreeMap;

/// The API's version, as sent in `Version`.
pub const VERSION: &str = "2010-08-01";
/// The service's name in the paths of the CBOR protocol.
pub const SERVICE: &str = "GraniteServiceVersion20100801";
/// XML namespace of its answers.
pub const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// Metrics in one PutMetricData call.
const DATA_MAX: usize = 1000;
/// Dimensions of one metric.
const DIMENSIONS_MAX: usize = 30;
/// How old and how far ahead a time may be: two weeks and two hours.
const AGE_MAX_MS: u64 = 14 * 24 * 3_600_000;
const AHEAD_MAX_MS: u64 = 2 * 3_600_000;

/// Carries out one call. No operation here returns anything.
pub fn handle(
    world: &mut World,
    action: &str,
    params: &Params,
    now_ms: u64,
) -> Result<(), ApiError> {
    match action {
        "PutMetricData" => put_metric_data(world, params, now_ms),
        _ => Err(ApiError::unknown_operation(action, VERSION)),
    }
}

/// Keeps all values, or none if one is wrong.
fn put_metric_data(world: &mut World, params: &Params, now_ms: u64) -> Result<(), ApiError> {
    let namespace = required(params, "Namespace")?;
    if namespace.starts_with("AWS/") {
        return Err(invalid("The value AWS/ for parameter Namespace is invalid."));
    }
    let data: Vec<String> = (1..)
        .map(|nth: u32| format!("MetricData.member.{nth}"))
        .take_while(|key| params.has_members_of(key))
        .collect();
    if data.is_empty() {
        return Err(missing("MetricData"));
    }
    if data.len() > DATA_MAX {
        return Err(invalid(&format!(
            "The collection MetricData must not have a size greater than {DATA_MAX}."
        )));
    }
    let points: Vec<_> =
        data.iter().map(|key| datum(params, namespace, key, now_ms)).collect::<Result<_, _>>()?;
    for (key, point) in points {
        world.put_metric(key, point);
    }
    Ok(())
}

fn datum(
    params: &Params,
    namespace: &str,
    key: &str,
    now_ms: u64,
) -> Result<(MetricKey, Point), ApiError> {
    let name = required(params, &format!("{key}.MetricName"))?.to_owned();
    let mut dimensions = BTreeMap::new();
    for nth in 1_u32.. {
        let dimension = format!("{key}.Dimensions.member.{nth}");
        let Some(name) = params.get(&format!("{dimension}.Name")) else { break };
        let value = required(params, &format!("{dimension}.Value"))?;
        dimensions.insert(name.to_owned(), value.to_owned());
    }
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(invalid(&format!("At most {DIMENSIONS_MAX} dimensions for a metric.")));
    }
    let value = required(params, &format!("{key}.Value"))?;
    let value: f64 =
        value.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
            invalid(&format!("The value {value} for parameter {key}.Value is invalid."))
        })?;
    let at_ms =
        params.get(&format!("{key}.Timestamp")).map(parse_time).transpose()?.unwrap_or(now_ms);
    if at_ms + AGE_MAX_MS < now_ms || at_ms > now_ms + AHEAD_MAX_MS {
        return Err(invalid(&format!(
            "The parameter {key}.Timestamp must specify a time within the past two weeks and at most two hours ahead."
        )));
    }
    Ok((MetricKey { namespace: namespace.to_owned(), name, dimensions }, Point { at_ms, value }))
}

fn required<'a>(params: &'a Params, key: &str) -> Result<&'a str, ApiError> {
    params.get(key).filter(|value| !value.is_empty()).ok_or_else(|| missing(key))
}

fn missing(key: &str) -> ApiError {
    ApiError::new(400, "MissingParameter", format!("The parameter {key} is required."))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", message)
}
