//! What is in the containers: busybox, a page that tells the version, and a client that counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Display};
use std::process::Command;
use std::time::{Duration, Instant};

use detc_core::backend::Containers;

/// The file that the image is built of.
pub(crate) const CONTEXT: &str = "context.tar";

/// By what it is known that one works.
pub(crate) const CHECK: [&str; 5] = ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"];

/// What asks all the time, and what it is called.
pub(crate) const ASK: [&str; 2] = ["sh", "/ask"];
pub(crate) const ASKING: &str = "detc-example-asking";

const RECIPE: &str = r#"
FROM scratch
COPY root /
ENV PATH=/bin
ARG VERSION
ENV VERSION=$VERSION
CMD ["sh", "/serve"]
"#;

/// When it is asked to end, it takes no further request, and finishes those that it has taken.
const SERVE: &str = r#"
mkdir -p /www
echo "version $VERSION" > /www/index.html
httpd -f -p 8080 -h /www &
trap 'kill $!; sleep 0.3; exit 0' TERM
wait
"#;

/// As any client does, it asks the next address where one gives no answer. Only where none does a request is lost.
const ASK_ALL: &str = r#"
while :; do
    answer=lost
    for address in $(nslookup web 127.0.0.11 | sed -n '1,/^Name/d; s/^Address[^:]*: *\([0-9.]*\).*/\1/p'); do
        if page=$(timeout 2 wget -q -O - "http://$address:8080/"); then
            answer=$page
            break
        fi
    done
    echo "$answer" >> /answers
done
"#;

/// Where busybox is, linked statically: Debian's package `busybox-static` has it so.
const BUSYBOX: &str = "/bin/busybox";

/// The context of the image, as a tar archive.
pub(crate) fn context() -> Result<Vec<u8>, Box<dyn Error>> {
    let busybox = std::fs::read(BUSYBOX)
        .map_err(|error| format!("{BUSYBOX}: {error}\nIt is in Debian's package busybox-static"))?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, path, content)
    };
    file("Dockerfile", 0o644, RECIPE.as_bytes())?;
    file("root/bin/busybox", 0o755, &busybox)?;
    file("root/serve", 0o644, SERVE.as_bytes())?;
    file("root/ask", 0o644, ASK_ALL.as_bytes())?;
    let programs = Command::new(BUSYBOX).arg("--list").output()?.stdout;
    for program in String::from_utf8_lossy(&programs).lines().filter(|program| *program != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, format!("root/bin/{program}"), "busybox")?;
    }
    Ok(archive.into_inner()?)
}

/// What the client has counted.
pub(crate) struct Asked {
    /// How often each page was answered.
    pub(crate) answers: BTreeMap<String, usize>,
    /// How many requests nobody answered.
    pub(crate) lost: usize,
}

impl Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (page, count) in &self.answers {
            write!(f, "{count} times {page}, ")?;
        }
        match self.lost {
            0 => f.write_str("none lost"),
            lost => write!(f, "{lost} lost"),
        }
    }
}

/// Reads what the client has counted, in its container.
pub(crate) async fn asked(engine: &dyn Containers) -> Result<Asked, Box<dyn Error>> {
    /// As many requests as an hour of it has.
    const LEN_MAX: u64 = 16 << 20;
    let text = engine.host(ASKING).read("/answers", LEN_MAX).await?;
    let mut answers = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        *answers.entry(line.to_owned()).or_default() += 1;
    }
    let lost = answers.remove("lost").unwrap_or_default();
    Ok(Asked { answers, lost })
}

/// Waits until a page was answered some times: then it is counted also what came just after a change.
pub(crate) async fn until_answered(engine: &dyn Containers, page: &str) -> Result<(), Box<dyn Error>> {
    const TIMES: usize = 20;
    const PATIENCE: Duration = Duration::from_secs(30);
    let began = Instant::now();
    loop {
        let asked = asked(engine).await;
        if asked.as_ref().is_ok_and(|asked| asked.answers.get(page).is_some_and(|count| *count >= TIMES)) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let asked = asked.map_or_else(|error| error.to_string(), |asked| asked.to_string());
            return Err(format!("nobody answers `{page}`: {asked}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
