//! How a service lives: when it is started again, how one knows that it works, how it ends, and where it writes.

use std::collections::BTreeMap;

use super::node::{Errors, Fields, Node, Raw};
use super::units::duration;
use crate::resources::container::{CheckSpec, EndSpec, LoggingSpec, RestartSpec};

pub(super) fn restart(fields: &mut Fields, errors: &mut Errors) -> Option<RestartSpec> {
    let path = fields.path("restart");
    let node = fields.take("restart")?;
    let text = match node.value {
        // `no` is a text; an older YAML takes it for false.
        Raw::Bool(false) => "no".to_owned(),
        _ => node.text(&path, errors)?,
    };
    let restart = match text.split_once(':') {
        None => match text.as_str() {
            "no" => Some(RestartSpec::Never),
            "always" => Some(RestartSpec::Always),
            "unless-stopped" => Some(RestartSpec::UnlessStopped),
            "on-failure" => Some(RestartSpec::OnFailure { retries_max: None }),
            _ => None,
        },
        Some(("on-failure", most)) => {
            most.parse().ok().map(|most| RestartSpec::OnFailure { retries_max: Some(most) })
        }
        Some(_) => None,
    };
    restart.or_else(|| {
        let message =
            format!("`{path}` is `{text}`: expected `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:COUNT`");
        errors.wrong(node.line, message)
    })
}

pub(super) fn restart_policy(node: &Node, path: &str, errors: &mut Errors) -> Option<RestartSpec> {
    let mut fields = node.fields(path, errors)?;
    let retries_max = fields.count_u32("max_attempts", errors);
    let line = fields.line_of("condition");
    let restart = match fields.text("condition", errors).as_deref() {
        None | Some("any") => Some(RestartSpec::Always),
        Some("none") => Some(RestartSpec::Never),
        Some("on-failure") => Some(RestartSpec::OnFailure { retries_max }),
        Some(other) => errors
            .wrong(line, format!("`{path}.condition` is `{other}`: expected `none`, `on-failure` or `any`")),
    };
    fields.finish(&["condition", "max_attempts"], errors);
    restart
}

pub(super) fn health(fields: &mut Fields, errors: &mut Errors) -> Option<CheckSpec> {
    let path = fields.path("healthcheck");
    let mut given = fields.take("healthcheck")?.fields(&path, errors)?;
    let mut check = CheckSpec::default();
    let line = given.line;
    if given.flag("disable", errors) == Some(true) {
        check.off = Some(true);
    }
    if let Some(test) = given.take("test") {
        let path = given.path("test");
        let words = test.texts(&path, errors)?;
        match (&test.value, words.split_first()) {
            (Raw::List(_), Some((first, []))) if first == "NONE" => check.off = Some(true),
            (Raw::List(_), Some((first, command))) if first == "CMD" && !command.is_empty() => {
                check.command = Some(command.to_vec());
            }
            (Raw::List(_), Some((first, [line]))) if first == "CMD-SHELL" => check.shell = Some(line.clone()),
            (Raw::List(_), _) => {
                let message = format!(
                    "`{path}` begins with none of `CMD`, `CMD-SHELL` and `NONE`, with what belongs to it"
                );
                return errors.wrong(test.line, message);
            }
            (_, _) => check.shell = words.into_iter().next(),
        }
    }
    let mut time = |name, errors: &mut Errors| milliseconds(&mut given, name, errors);
    check.interval_ms = time("interval", errors);
    check.timeout_ms = time("timeout", errors);
    check.start_period_ms = time("start_period", errors);
    check.retries = given.count_u32("retries", errors);
    given.finish(&["disable", "test", "interval", "timeout", "start_period", "retries"], errors);
    if check.off == Some(true) {
        // How often what is not done would be done does not matter.
        return Some(CheckSpec { off: Some(true), ..CheckSpec::default() });
    }
    if check.command.is_none() && check.shell.is_none() {
        let message = format!("`{path}` has no `test`: what the image says can not be changed in part");
        return errors.wrong(line, message);
    }
    Some(check)
}

pub(super) fn stop(fields: &mut Fields, errors: &mut Errors) -> Option<EndSpec> {
    let signal = fields.text("stop_signal", errors);
    let line = fields.line_of("stop_grace_period");
    let path = fields.path("stop_grace_period");
    let grace_s = milliseconds(fields, "stop_grace_period", errors).and_then(|grace_ms| {
        let whole = (grace_ms % 1000 == 0).then_some(grace_ms / 1000);
        whole.or_else(|| errors.wrong(line, format!("`{path}` is {grace_ms} ms: expected whole seconds")))
    });
    Some(EndSpec { signal, grace_s }).filter(|stop| *stop != EndSpec::default())
}

pub(super) fn logging(fields: &mut Fields, errors: &mut Errors) -> Option<LoggingSpec> {
    let path = fields.path("logging");
    let mut given = fields.take("logging")?.fields(&path, errors)?;
    let driver = given.text("driver", errors);
    let options = given.pairs("options", errors);
    let options: BTreeMap<String, String> =
        options.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
    given.finish(&["driver", "options"], errors);
    let options = Some(options).filter(|options| !options.is_empty());
    Some(LoggingSpec { driver, options, ..LoggingSpec::default() })
}

fn milliseconds(fields: &mut Fields, name: &str, errors: &mut Errors) -> Option<u64> {
    let path = fields.path(name);
    let node = fields.take(name)?;
    let text = node.text(&path, errors)?;
    let time = duration(&text).and_then(|time| u64::try_from(time.as_millis()).ok());
    time.or_else(|| {
        errors.wrong(node.line, format!("`{path}` is `{text}`: expected a duration, as in `1m30s`"))
    })
}
