//! The way of an API call: recorded, subjected to the faults in force, carried out by its service, answered.

use crate::error::ApiError;
use crate::faults::{Ending, HANG_MAX_MS};
use crate::query::Params;
use crate::server::{BODY_MAX, Shared};
use crate::world::World;
use crate::xml::{Xml, ec2_error, query_answer, query_error};
use crate::{autoscaling, cbor, cloudwatch, ec2, sqs};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const STS_VERSION: &str = "2011-06-15";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An answer. None is no answer: the connection is closed.
pub type Answer = Option<Reply>;

/// What is sent back.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The request's protocol.
    pub form: Form,
    /// XML, CBOR or JSON.
    pub body: Bytes,
    /// AWS's error code of a refusal.
    pub error_code: Option<&'static str>,
}

/// The protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Form-encoded parameters, and XML as the answer.
    Query,
    /// CBOR both ways; for CloudWatch only.
    Cbor,
    /// JSON both ways; for SQS only.
    Json,
}

/// A request, as far as it could be read.
#[derive(Debug)]
pub struct Request {
    form: Form,
    action: String,
    params: Result<Params, ApiError>,
}

impl Request {
    /// One in the query protocol.
    #[must_use]
    pub fn query(body: &[u8]) -> Self {
        let params = Params::parse(body);
        let action = params.get("Action").unwrap_or("").to_owned();
        Self { form: Form::Query, action, params: Ok(params) }
    }

    /// One to CloudWatch in CBOR.
    #[must_use]
    pub fn cbor(operation: &str, body: &[u8], is_zipped: bool) -> Self {
        let plain = if is_zipped { cbor::unzip(body, BODY_MAX) } else { Ok(body.to_vec()) };
        let params = plain.and_then(|body| cbor::params(operation, cloudwatch::VERSION, &body));
        Self { form: Form::Cbor, action: operation.to_owned(), params }
    }
}

impl Request {
    /// One to SQS in JSON.
    #[must_use]
    pub fn json(operation: &str, body: &[u8]) -> Self {
        let params = sqs::params(operation, body);
        Self { form: Form::Json, action: operation.to_owned(), params }
    }

    /// Whether it may be held open, and ends with its caller.
    #[must_use]
    pub const fn may_wait(&self) -> bool {
        matches!(self.form, Form::Json)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    AutoScaling,
    Ec2,
    CloudWatch,
    Sqs,
    Sts,
}

impl Service {
    /// All services share the endpoint; the API version tells them apart.
    fn of(params: &Params) -> Result<Self, ApiError> {
        match params.get("Version") {
            Some(autoscaling::VERSION) => Ok(Self::AutoScaling),
            Some(ec2::VERSION) => Ok(Self::Ec2),
            Some(cloudwatch::VERSION) => Ok(Self::CloudWatch),
            Some(sqs::VERSION) => Ok(Self::Sqs),
            Some(STS_VERSION) => Ok(Self::Sts),
            other => Err(ApiError::new(
                400,
                "NoSuchVersion",
                format!("no service here has the API version {other:?}"),
            )),
        }
    }

    fn handle(
        self,
        world: &mut World,
        action: &str,
        params: &Params,
        now_ms: u64,
    ) -> Result<String, ApiError> {
        match self {
            Self::AutoScaling => autoscaling::handle(world, action, params, now_ms),
            Self::Ec2 => ec2::handle(world, action, params, now_ms),
            Self::CloudWatch => {
                cloudwatch::handle(world, action, params, now_ms)?;
                let id = world.fresh_id();
                Ok(query_answer(cloudwatch::NAMESPACE, action, &id, None::<fn(&mut Xml)>))
            }
            Self::Sts => sts(world, action),
            // Its requests may be held open: `call` has them.
            Self::Sqs => Err(ApiError::unknown_operation(action, sqs::VERSION)),
        }
    }

    fn throttled(self) -> ApiError {
        match self {
            Self::AutoScaling | Self::CloudWatch | Self::Sts => {
                ApiError::new(400, "Throttling", "Rate exceeded")
            }
            Self::Sqs => ApiError::new(403, "RequestThrottled", "Request is throttled."),
            Self::Ec2 => ApiError::new(503, "RequestLimitExceeded", "Request limit exceeded."),
        }
    }

    fn denied(self, action: &str) -> ApiError {
        let text = format!("You are not authorized to perform this operation: {action}");
        match self {
            Self::AutoScaling | Self::CloudWatch | Self::Sqs | Self::Sts => {
                ApiError::new(403, "AccessDenied", text)
            }
            Self::Ec2 => ApiError::new(403, "UnauthorizedOperation", text),
        }
    }

    fn failed(self) -> ApiError {
        match self {
            Self::AutoScaling | Self::Sts => {
                ApiError::new(500, "InternalFailure", "An internal error has occurred")
            }
            Self::CloudWatch => {
                ApiError::new(500, "InternalServiceError", "An internal error has occurred")
            }
            Self::Sqs => ApiError::new(500, "InternalFailure", "An internal error has occurred"),
            Self::Ec2 => ApiError::new(500, "InternalError", "An internal error has occurred"),
        }
    }

    fn error(self, error: &ApiError, request_id: &str) -> String {
        match self {
            Self::AutoScaling => query_error(autoscaling::NAMESPACE, error, request_id),
            Self::CloudWatch => query_error(cloudwatch::NAMESPACE, error, request_id),
            Self::Sts => query_error(STS_NAMESPACE, error, request_id),
            Self::Ec2 => ec2_error(error, request_id),
            Self::Sqs => sqs::error(error),
        }
    }
}

fn sts(world: &mut World, action: &str) -> Result<String, ApiError> {
    if action != "GetCallerIdentity" {
        return Err(ApiError::unknown_operation(action, STS_VERSION));
    }
    let identity = |xml: &mut Xml| {
        xml.leaf("Arn", "arn:aws:iam::123456789012:user/sandbox")
            .leaf("UserId", "AIDASANDBOX")
            .leaf("Account", "123456789012");
    };
    Ok(query_answer(STS_NAMESPACE, action, &world.fresh_id(), Some(identity)))
}

/// Serves one call. Runs to its end even if the caller hangs up, as at AWS.
pub async fn call(shared: Arc<Shared>, request: Request, signed: bool) -> Answer {
    let Request { form, action, params } = request;
    let (id, verdict) = {
        let mut world = shared.world();
        let none = BTreeMap::new();
        let flat = params.as_ref().map_or(&none, Params::flat);
        (world.calls.arrived(shared.now_ms(), &action, flat), world.faults.on_call(&action))
    };
    let ended = |status: u16, code: Option<&str>| shared.world().calls.ended(id, status, code);
    if verdict.ending == Ending::Hang {
        ended(0, Some("hang"));
        tokio::time::sleep(Duration::from_millis(HANG_MAX_MS)).await;
        return None;
    }
    if verdict.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(verdict.delay_ms)).await;
    }
    let service = params.as_ref().map_err(Clone::clone).and_then(Service::of);
    let result = match (params, &service) {
        (Ok(params), Ok(Service::Sqs)) if signed && is_carried_out(verdict.ending) => {
            sqs::long_poll(&shared, &action, &params).await
        }
        (Ok(params), Ok(service)) => {
            carry_out(&shared, *service, &action, &params, signed, verdict.ending)
        }
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(error.clone()),
    };
    if verdict.ending == Ending::LostReply {
        ended(0, Some("lost_reply"));
        return None;
    }
    let (status, error_code) = match &result {
        Ok(_) => (200, None),
        Err(error) => (error.status, Some(error.code)),
    };
    ended(status, error_code);
    let body = match (form, result) {
        (Form::Query, Ok(xml)) => xml.into(),
        (Form::Query, Err(error)) => {
            let request_id = shared.world().fresh_id();
            service.unwrap_or(Service::AutoScaling).error(&error, &request_id).into()
        }
        // None of CloudWatch's operations here returns anything.
        (Form::Cbor, Ok(_)) => cbor::empty_answer().into(),
        (Form::Cbor, Err(error)) => cbor::error_answer(&error).into(),
        (Form::Json, Ok(json)) => json.into(),
        (Form::Json, Err(error)) => sqs::error(&error).into(),
    };
    Some(Reply { status, form, body, error_code })
}

/// Whether a call is carried out, whatever becomes of its answer.
const fn is_carried_out(ending: Ending) -> bool {
    matches!(ending, Ending::Proper | Ending::LostReply)
}

fn carry_out(
    shared: &Shared,
    service: Service,
    action: &str,
    params: &Params,
    signed: bool,
    ending: Ending,
) -> Result<String, ApiError> {
    if !signed {
        return Err(ApiError::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ));
    }
    match ending {
        Ending::Throttled => Err(service.throttled()),
        Ending::ServerError => Err(service.failed()),
        Ending::Denied => Err(service.denied(action)),
        Ending::Proper | Ending::LostReply | Ending::Hang => {
            let now_ms = shared.now_ms();
            let result = service.handle(&mut shared.world(), action, params, now_ms);
            shared.changed();
            result
        }
    }
}
