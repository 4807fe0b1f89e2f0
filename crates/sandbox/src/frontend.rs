//! The way of an API call: recorded, subjected to the faults in force, carried out by its service, answered.

use crate::error::ApiError;
use crate::faults::{Ending, HANG_MAX_MS};
use crate::query::Params;
use crate::server::Shared;
use crate::world::World;
use crate::xml::{Xml, ec2_error, query_answer, query_error};
use crate::{autoscaling, ec2};
use std::sync::Arc;
use std::time::Duration;

const STS_VERSION: &str = "2011-06-15";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An answer: HTTP status and XML. None is no answer: the connection is closed.
pub type Answer = Option<(u16, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    AutoScaling,
    Ec2,
    Sts,
}

impl Service {
    /// All services share the endpoint; the API version tells them apart.
    fn of(params: &Params) -> Result<Self, ApiError> {
        match params.get("Version") {
            Some(autoscaling::VERSION) => Ok(Self::AutoScaling),
            Some(ec2::VERSION) => Ok(Self::Ec2),
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
            Self::Sts => sts(world, action),
        }
    }

    fn throttled(self) -> ApiError {
        match self {
            Self::AutoScaling | Self::Sts => ApiError::new(400, "Throttling", "Rate exceeded"),
            Self::Ec2 => ApiError::new(503, "RequestLimitExceeded", "Request limit exceeded."),
        }
    }

    fn failed(self) -> ApiError {
        match self {
            Self::AutoScaling | Self::Sts => {
                ApiError::new(500, "InternalFailure", "An internal error has occurred")
            }
            Self::Ec2 => ApiError::new(500, "InternalError", "An internal error has occurred"),
        }
    }

    fn error(self, error: &ApiError, request_id: &str) -> String {
        match self {
            Self::AutoScaling => query_error(autoscaling::NAMESPACE, error, request_id),
            Self::Sts => query_error(STS_NAMESPACE, error, request_id),
            Self::Ec2 => ec2_error(error, request_id),
        }
    }
}

fn sts(world: &mut World, action: &str) -> Result<String, ApiError> {
    if action != "GetCallerIdentity" {
        return Err(ApiError::new(
            400,
            "InvalidAction",
            format!("Could not find operation {action} for version {STS_VERSION}"),
        ));
    }
    let identity = |xml: &mut Xml| {
        xml.leaf("Arn", "arn:aws:iam::123456789012:user/sandbox")
            .leaf("UserId", "AIDASANDBOX")
            .leaf("Account", "123456789012");
    };
    Ok(query_answer(STS_NAMESPACE, action, &world.fresh_id(), Some(identity)))
}

/// Serves one call. Runs to its end even if the caller hangs up, as at AWS.
pub async fn call(shared: Arc<Shared>, body: bytes::Bytes, signed: bool) -> Answer {
    let params = Params::parse(&body);
    let action = params.get("Action").unwrap_or("").to_owned();
    let (id, verdict) = {
        let mut world = shared.world();
        (
            world.calls.arrived(shared.now_ms(), &action, params.flat()),
            world.faults.on_call(&action),
        )
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
    let service = Service::of(&params);
    let result = service
        .clone()
        .and_then(|service| carry_out(&shared, service, &action, &params, signed, verdict.ending));
    if verdict.ending == Ending::LostReply {
        ended(0, Some("lost_reply"));
        return None;
    }
    match result {
        Ok(xml) => {
            ended(200, None);
            Some((200, xml))
        }
        Err(error) => {
            ended(error.status, Some(error.code));
            let request_id = shared.world().fresh_id();
            Some((error.status, service.unwrap_or(Service::AutoScaling).error(&error, &request_id)))
        }
    }
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
        Ending::Proper | Ending::LostReply | Ending::Hang => {
            let now_ms = shared.now_ms();
            let result = service.handle(&mut shared.world(), action, params, now_ms);
            shared.changed();
            result
        }
    }
}
