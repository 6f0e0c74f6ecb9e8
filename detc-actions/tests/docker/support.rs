//! What these tests share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use detc_core::backend::Containers;
use detc_core::backend::containers::{
    Build, Change, ContainerSpec, ImageFrom, New, ObjectKind, ObjectRef, RemoveHow,
};
use detc_core::content::Content;

/// The image of all tests: busybox, by the names of its programs.
pub(crate) const IMAGE: &str = "detc-test:1";

/// What containers of the tests need of busybox.
const PROGRAMS: &str = "sh cat chmod chown cp cut dd echo env false head hostname httpd id ip kill ln ls mkdir mkfifo mktemp mv \
    nc nslookup printf ps pwd readlink rm rmdir sed seq setsid sleep stat sync tail test touch tr true tty wc wget";

/// The context of an image of busybox, with further lines of its recipe.
pub(crate) fn context(lines: &str) -> Content {
    context_with(&[], lines)
}

/// The same, with more files.
pub(crate) fn context_with(files: &[(&str, &str)], lines: &str) -> Content {
    let busybox = std::fs::read("/bin/busybox").expect("busybox is installed by .ci/test (busybox-static)");
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, path, content).unwrap();
    };
    let recipe = format!("FROM scratch\nCOPY root /\nENV PATH=/bin\n{lines}");
    file("Dockerfile", 0o644, recipe.as_bytes());
    for (path, content) in files {
        file(path, 0o644, content.as_bytes());
    }
    file(
        "Dockerfile.bare",
        0o644,
        b"FROM scratch\nCOPY root/bin/busybox /sleep\nCMD [\"/sleep\", \"600\"]\nSTOPSIGNAL SIGKILL\n",
    );
    file("root/bin/busybox", 0o755, &busybox);
    file("root/etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n");
    file("root/etc/group", 0o644, b"root:x:0:\nweb:x:1000:\n");
    // Debian's busybox has none.
    file("root/bin/printenv", 0o755, b"#!/bin/sh\neval \"printf '%s\\n' \\\"\\$$1\\\"\"\n");
    for (path, mode) in [("root/tmp", 0o1777), ("root/run", 0o755), ("root/srv", 0o755)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode);
        archive.append_data(&mut header, format!("{path}/"), &[][..]).unwrap();
    }
    for program in PROGRAMS.split_whitespace() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, format!("root/bin/{program}"), "busybox").unwrap();
    }
    Content::from(archive.into_inner().unwrap())
}

/// Makes the image of all tests, and tells its id. Two who make it at once make two.
pub(crate) async fn image(engine: &dyn Containers) -> String {
    let mut build = Build::new(context("CMD [\"sleep\", \"600\"]\n"));
    build.tags.insert(IMAGE.to_owned());
    engine.create(&New::image(ImageFrom::Build(build))).await.unwrap()
}

/// A name that no other test has.
pub(crate) fn name(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A container of the tests' image that does nothing but to be there.
pub(crate) fn idle() -> ContainerSpec {
    ContainerSpec::new(IMAGE)
}

/// Makes a container and starts it, and tells its id.
pub(crate) async fn run(engine: &dyn Containers, name: &str, spec: ContainerSpec) -> String {
    let id = engine.create(&New::container(name, spec)).await.unwrap();
    engine.change(&Change::start(name)).await.unwrap();
    id
}

/// Removes it, whether it runs or not.
pub(crate) async fn remove(engine: &dyn Containers, kind: ObjectKind, name: &str) {
    let object = ObjectRef::new(kind, name);
    engine.change(&Change::Remove { object, how: RemoveHow::Running }).await.unwrap();
}

/// Waits until `look` finds something.
///
/// # Panics
/// When it does not within the deadline, which is long enough for a machine that is busy with other tests.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
