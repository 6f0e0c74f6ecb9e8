//! Looks at resources: connects the hosts, and observes many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

use self::heard::Heard;
use self::queue::{Ended, Place, Queue};
use super::Manager;
use crate::backend::{Host, RootedHost};
use crate::execute::panics::caught;
use crate::execute::{NotConnected, Progress, ProgressSink, Surroundings, Try};
use crate::model::{Doc, Extra, HostName, HostSpec, Observation, RecordBody, ResourceId};
use crate::plan::Observed;

mod heard;
mod queue;

/// One look.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) id: ResourceId,
    pub(super) host: Option<HostName>,
    pub(super) spec: Doc,
    pub(super) base: Option<RecordBody>,
    pub(super) extra: Option<Box<Extra>>,
}

impl Manager {
    /// Connects the hosts that are named in `needed`.
    pub(super) async fn connect(
        &self,
        specs: &BTreeMap<HostName, HostSpec>,
        needed: &BTreeSet<HostName>,
    ) -> BTreeMap<HostName, Result<Arc<dyn Host>, NotConnected>> {
        let mut tasks = JoinSet::new();
        let mut hosts = BTreeMap::new();
        for name in needed {
            while tasks.len() >= self.options.limits.connects.max(1) {
                let connected = tasks.join_next().await.expect("invariant: some are being connected to");
                hosts.extend([connected.expect("invariant: a connection does not panic")]);
            }
            let Some(spec) = specs.get(name).cloned() else {
                let not = NotConnected::permanent(format!("host `{name}` is not declared"));
                hosts.insert(name.clone(), Err(not));
                continue;
            };
            let Some(connector) = self.registry.connector(spec.scheme()).cloned() else {
                let why = format!("this program has no connector for `{}`", spec.connect);
                hosts.insert(name.clone(), Err(NotConnected::permanent(why)));
                continue;
            };
            let limit = std::num::NonZeroUsize::new(self.options.limits.per_host)
                .unwrap_or(std::num::NonZeroUsize::MIN);
            let (name, patience) = (name.clone(), self.options.connect_timeout);
            let roots = self.roots_of(&name, &spec);
            tasks.spawn(async move {
                let connecting = tokio::time::timeout(patience, caught(connector.connect(&name, &spec)));
                let host = match connecting.await {
                    Ok(Ok(Ok(host))) => Ok(match roots {
                        Some(roots) => Arc::new(RootedHost::new(host, roots)),
                        None => host,
                    }),
                    Ok(Ok(Err(error))) => Err(NotConnected::from(error)),
                    Ok(Err(panic)) => Err(NotConnected::permanent(panic)),
                    Err(_) => {
                        let why = format!("no connection within {} s", patience.as_secs_f64());
                        Err(NotConnected::unreachable(why))
                    }
                };
                let limited =
                    host.map(|host| Arc::new(crate::backend::LimitedHost::new(host, limit)) as Arc<dyn Host>);
                (name, limited)
            });
        }
        hosts.extend(tasks.join_all().await);
        hosts
    }

    /// Beneath which paths a host is changed, if it is bound to some: what detc keeps there for itself is one, too.
    fn roots_of(&self, name: &HostName, spec: &HostSpec) -> Option<Vec<String>> {
        if spec.roots.is_empty() {
            return None;
        }
        let alone = BTreeMap::from([(name.clone(), spec.clone())]);
        let own = self.own_dirs(&alone).into_iter().map(|(_, dir)| dir);
        Some(spec.roots.iter().cloned().chain(own).collect())
    }

    /// Where detc keeps its own things on each host.
    pub(super) fn state_dirs(&self, specs: &BTreeMap<HostName, HostSpec>) -> BTreeMap<HostName, String> {
        let dir = |(name, spec): (&HostName, &HostSpec)| {
            let given = spec.options.get("state_dir").and_then(|dir| dir.as_str()).map(str::to_owned);
            let local = || format!("{}/{name}", self.options.state_dir);
            let default =
                || if spec.scheme() == "local" { local() } else { format!("/var/lib/detc/{}", self.scope) };
            (name.clone(), given.unwrap_or_else(default))
        };
        specs.iter().map(dir).collect()
    }

    /// All folders of detc's own that are known of: those, and where this manager has its own on this machine.
    pub(super) fn own_dirs(&self, specs: &BTreeMap<HostName, HostSpec>) -> Vec<(HostName, String)> {
        let here = specs.iter().filter(|(_, spec)| spec.scheme() == "local");
        let here = here.map(|(name, _)| (name.clone(), self.options.state_dir.clone()));
        here.chain(self.state_dirs(specs)).collect()
    }
}

/// Makes the looks, many at once, and adds what was seen. What fails is unknown, for that reason.
pub(super) async fn look_at_all(
    around: &Arc<Surroundings>,
    looks: Vec<Look>,
    observed: &mut Observed,
    sink: &mut ProgressSink,
) {
    let mut queue = Queue::new(looks, &around.limits);
    let mut tasks: JoinSet<(Place, ResourceId, Seen)> = JoinSet::new();
    loop {
        while let Some((place, look)) = queue.next() {
            sink(&Progress::Observing { resource: &look.id });
            let (around_it, heard) = (around.clone(), queue.heard(place));
            let mut call: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                let seen = look_at(&around_it, &look, &heard).await;
                (place, look.id, seen)
            });
            // A look that does not wait costs no task.
            match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => take(done, around, &mut queue, observed),
                Poll::Pending => {
                    tasks.spawn(call);
                }
            }
        }
        let Some(done) = tasks.join_next().await else { return };
        take(done.expect("invariant: a look does not panic"), around, &mut queue, observed);
    }
}

/// What came of a look; `Err`: there was no answer in time.
type Seen = Result<Observation, Silence>;

/// A host that did not answer in time.
#[derive(Debug)]
struct Silence;

async fn look_at(around: &Surroundings, look: &Look, heard: &Heard) -> Seen {
    let base = look.base.as_ref();
    let token = base.and_then(|body| body.triggers.as_deref());
    let key = base.and_then(|body| made_in(around, &look.id, body));
    let call = around.look(
        (&look.id, look.host.as_ref()),
        &look.spec,
        base,
        token,
        look.extra.as_deref(),
        key.as_deref().map_or(Try::NONE, Try::confirmed),
    );
    let seen = tokio::select! {
        biased;
        seen = caught(call) => seen,
        () = heard.nothing_for(around.look_timeout) => return Err(Silence),
    };
    Ok(match seen {
        Ok(Ok(observation)) => observation,
        Err(panic) => Observation::Unknown(around.scrub(&panic)),
        Ok(Err(error)) => Observation::Unknown(around.scrub(&error.full_message())),
    })
}

/// The key of the action by which the run that goes on has made it, as its record says: a second look confirms that action.
fn made_in(around: &Surroundings, id: &ResourceId, body: &RecordBody) -> Option<String> {
    let (run, _) = body.changed.split_once('/')?;
    (run == around.run.to_string()).then(|| format!("{}/{}:{id}", around.scope, body.changed))
}

fn take(
    (place, id, seen): (Place, ResourceId, Seen),
    around: &Surroundings,
    queue: &mut Queue,
    observed: &mut Observed,
) {
    let within = around.look_timeout.as_secs_f64();
    let (observation, ended) = match seen {
        Ok(observation) => (observation, Ended::Answered),
        Err(Silence) => (Observation::Unknown(format!("no answer within {within} s")), Ended::Silent),
    };
    observed.insert(id, observation);
    for look in queue.ended(place, ended) {
        let host = look.host.as_ref().map_or("", HostName::as_str);
        let why = format!("not looked at: {host} did not answer several others within {within} s each");
        observed.insert(look.id, Observation::Unknown(why));
    }
}
