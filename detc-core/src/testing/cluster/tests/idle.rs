//! Managers that do too little, and do so in each life: no comparison of lives finds that.

use std::sync::Arc;

use super::*;
use crate::backend::Host;
use crate::store::Store;

const DOES_NOTHING: u8 = 20;
const LEAVES_ONE_OUT: u8 = 21;
const NEVER_CHANGES: u8 = 22;
const NEVER_REMOVES: u8 = 23;

/// Writes the pages of each state, and removes what else is there.
struct Writes<const DEFECT: u8>;

#[async_trait]
impl<const DEFECT: u8> Manages for Writes<DEFECT> {
    async fn bring_about(
        &self,
        _: &Arc<dyn Store>,
        registry: &Registry,
        state: &Desired,
    ) -> Result<(), String> {
        if DEFECT == DOES_NOTHING {
            return Ok(());
        }
        let (name, spec) = state.hosts.first_key_value().expect("the scenario has a host");
        let connector = registry.connector(&spec.connect).expect("the scenario has a connector");
        let host = connector.connect(name, spec).await.map_err(|error| error.to_string())?;
        self.write(&*host, state).await.map_err(|error| error.to_string())
    }
}

impl<const DEFECT: u8> Writes<DEFECT> {
    async fn write(&self, host: &dyn Host, state: &Desired) -> Result<(), HostError> {
        let own = Ownership::default();
        let specs = state.resources.values().map(|resource| resource.spec.value());
        let pages: Vec<Page<SOUND>> = specs.map(|spec| serde_json::from_value(spec).unwrap()).collect();
        for path in ["/a", "/b", "/c"] {
            let is_desired = pages.iter().any(|page| page.path == path);
            if !is_desired && DEFECT != NEVER_REMOVES {
                host.remove(&format!("{path}.index"), Remove::File).await?;
                host.remove(path, Remove::File).await?;
            }
        }
        for page in &pages {
            let is_left_out = DEFECT == LEAVES_ONE_OUT && page.path == "/b";
            let is_there = host.stat(&page.path).await?.is_some();
            if !is_left_out && (!is_there || DEFECT != NEVER_CHANGES) {
                host.write(&page.path, page.text.as_bytes(), &own).await?;
                host.write(&page.index(), b"1", &own).await?;
            }
        }
        Ok(())
    }
}

/// A life to a state that has a changed page and one less.
fn scenario<const DEFECT: u8>() -> Scenario {
    let page = |path: &str, text: &str| {
        let page = Page::<SOUND> { path: path.to_owned(), text: text.to_owned() };
        DesiredResource::new(&path[1..], &page).on("m")
    };
    let all = Desired::new().with(page("/a", "one")).with(page("/b", "two")).with(page("/c", "three"));
    let states = [all, Desired::new().with(page("/a", "ONE")).with(page("/b", "two"))];
    let registry = Registry::new().with_resource::<Page<SOUND>>();
    let scenario = Scenario::new(registry, states).with_host("m", MemoryHost::new("m"));
    scenario.managed_by(Writes::<DEFECT>)
}

/// What is told of it without faults.
async fn told<const DEFECT: u8>() -> String {
    Reference::try_of(&scenario::<DEFECT>()).await.err().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn what_a_manager_leaves_without_faults_is_what_was_asked_for_or_it_is_told() {
    const LEFT: &str = "what is there in the end is what was asked for";
    assert_eq!(told::<SOUND>().await, "");
    macro_rules! broken {
        ($($defect:ident => $law:expr, $how:expr),+ $(,)?) => {$(
            let how = format!("the law {:?} was broken: {}", $law, $how);
            assert_eq!(told::<$defect>().await, how, "{}", stringify!($defect));
        )+};
    }
    broken! {
        DOES_NOTHING => LEFT, "page/a, which the last state asks for, is not there",
        LEAVES_ONE_OUT => LEFT, "page/b, which the last state asks for, is not there",
        NEVER_CHANGES => LEFT, "page/a is not as the last state says",
        NEVER_REMOVES => LEFT, "page/c of state 1 is still there, and the last state does not ask for it",
    }
}

/// It commits nothing, so that it is never paused: what a call that is on its way does to a host later, nothing can prevent.
#[tokio::test(start_paused = true)]
async fn a_manager_that_commits_nothing_is_not_found_to_have_no_fence() {
    let pairs = Faults::default().with_twice(Twice::All);
    let checked = check_cluster(scenario::<SOUND>, pairs).await;
    assert!(checked.violations.is_empty() && checked.lives > 1_000, "{checked}");
}
