//! A registry of images at loopback, which holds one: what engines ask when they pull.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use detc_core::content::Content;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// It answers until this is dropped.
pub(crate) struct Served {
    address: SocketAddr,
    manifest: String,
    thread: Option<JoinHandle<()>>,
}

/// What it has, by path: its type and content.
type Pages = BTreeMap<String, (&'static str, Vec<u8>)>;

const NAME: &str = "detc/served";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

impl Served {
    /// The image of an archive, as `docker save` writes it.
    pub(crate) fn of(archive: &Content) -> Self {
        let files = files(archive);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let mut pages = Pages::new();
        let mut blob = |kind: &'static str, name: &str| -> Value {
            let content = files[name].clone();
            let digest = sum(&content);
            let told = json!({ "mediaType": kind, "size": content.len(), "digest": digest });
            pages.insert(format!("/v2/{NAME}/blobs/{digest}"), ("application/octet-stream", content));
            told
        };
        let config = blob(CONFIG, manifest[0]["Config"].as_str().unwrap());
        let layers = manifest[0]["Layers"].as_array().unwrap().iter();
        let layers: Vec<Value> = layers.map(|layer| blob(LAYER, layer.as_str().unwrap())).collect();
        let told = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let told = told.to_string().into_bytes();
        let digest = sum(&told);
        for by in [digest.as_str(), "1"] {
            pages.insert(format!("/v2/{NAME}/manifests/{by}"), (MANIFEST, told.clone()));
        }
        pages.insert("/v2/".to_owned(), ("application/json", b"{}".to_vec()));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Arc::new(pages);
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let (pages, stream) = (Arc::clone(&pages), stream.unwrap());
                let mut first = [0; 1];
                // Who is done says nothing, and means the end.
                if stream.peek(&mut first).unwrap_or_default() == 0 {
                    break;
                }
                open.push(std::thread::spawn(move || answer(&pages, &stream)));
            }
            open.into_iter().for_each(|thread| thread.join().unwrap());
        });
        Self { address, manifest: digest, thread: Some(thread) }
    }

    pub(crate) fn by_tag(&self) -> String {
        format!("{}/{NAME}:1", self.address)
    }

    pub(crate) fn by_digest(&self) -> String {
        format!("{}/{NAME}@{}", self.address, self.manifest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Answers one request of a connection, and ends that.
fn answer(pages: &Pages, mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let _headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let none = ("application/json", b"{\"errors\":[{\"code\":\"NOT_FOUND\"}]}".to_vec());
    let (status, (kind, content)) = match pages.get(path) {
        Some(page) => ("200 OK", page),
        None => ("404 Not Found", &none),
    };
    let digest = sum(content);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {digest}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let body: &[u8] = if method == "HEAD" { &[] } else { content };
    // Who has heard enough is gone.
    let _told = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// The digest of a content, as registries say it.
fn sum(content: &[u8]) -> String {
    let bytes = Sha256::digest(content);
    bytes.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The files of an archive, by their names.
fn files(archive: &Content) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let bytes = archive.bytes(1 << 30).unwrap();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(name, content);
    }
    files
}
