//! An agent that signs one thing: that we log in to one host, as one user, once.
//!
//! A host that hands content on to another logs in there with the help of this agent, over the connection that we have to it. It holds
//! no key. What the agent answers is bound to the session that it signs for: the client on the host tells it which server it
//! talks to (`session-bind@openssh.com`, OpenSSH since 8.9), with that server's own signature; who does not is not signed for.
//!
//! Source: draft-ietf-sshm-ssh-agent, and OpenSSH's PROTOCOL.agent, section 1.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::keys::agent::client::AgentClient;
use russh::keys::signature::{Signer as _, Verifier as _};
use russh::keys::ssh_encoding::{Decode, Encode};
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::auth::Proof;

/// Longest message that is taken, in bytes: a certificate and what is to be signed are some thousand. OpenSSH takes 256 KiB, which
/// each who only says that it will send so much would have of us.
const MESSAGE_LEN_MAX: u32 = 16 << 10;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGNATURE: u8 = 14;
const EXTENSION: u8 = 27;

/// What may be signed.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    /// How we log in to the host.
    pub(super) proof: Proof,
    pub(super) user: String,
    /// The key that the host has shown to us.
    pub(super) host_key: PublicKey,
}

/// What may be signed over one connection just now, each once.
#[derive(Debug, Default)]
pub(super) struct Permits(Mutex<Vec<Arc<Permit>>>);

impl Permits {
    /// Permits it until what is returned is dropped, or until it is used.
    pub(super) fn lend(&self, permit: Permit) -> Lent<'_> {
        let permit = Arc::new(permit);
        self.lock().push(Arc::clone(&permit));
        Lent { permits: self, permit }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Permit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, is_right: impl Fn(&Permit) -> bool) -> Option<Arc<Permit>> {
        self.lock().iter().find(|permit| is_right(permit)).cloned()
    }

    /// Takes it away. `false`: it was taken already.
    fn take(&self, permit: &Arc<Permit>) -> bool {
        let mut all = self.lock();
        let before = all.len();
        all.retain(|other| !Arc::ptr_eq(other, permit));
        all.len() < before
    }
}

/// A permit that is given.
#[derive(Debug)]
pub(super) struct Lent<'a> {
    permits: &'a Permits,
    permit: Arc<Permit>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.permits.take(&self.permit);
    }
}

/// What is at the other end of one channel.
#[derive(Debug)]
pub(super) struct Agent {
    permits: Arc<Permits>,
    /// The session that its client has told of, and the key of the host that it is with.
    session: Option<(Vec<u8>, Vec<u8>)>,
}

impl Agent {
    pub(super) fn new(permits: Arc<Permits>) -> Self {
        Self { permits, session: None }
    }

    /// Answers until the other end closes, or talks nonsense.
    pub(super) async fn serve(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        loop {
            let len = stream.read_u32().await?;
            if len == 0 || len > MESSAGE_LEN_MAX {
                return Ok(());
            }
            let mut message = vec![0; len as usize];
            stream.read_exact(&mut message).await?;
            let answer = self.answer(&message).await.unwrap_or_else(|| vec![FAILURE]);
            let len = u32::try_from(answer.len()).expect("invariant: answers are short");
            stream.write_all(&[&len.to_be_bytes()[..], &answer].concat()).await?;
            stream.flush().await?;
        }
    }

    async fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (kind, mut rest) = message.split_first()?;
        match *kind {
            REQUEST_IDENTITIES => {
                let keys: BTreeSet<Vec<u8>> = self
                    .permits
                    .lock()
                    .iter()
                    .filter_map(|permit| permit.proof.public().to_bytes().ok())
                    .collect();
                let mut answer = vec![IDENTITIES];
                u32::try_from(keys.len()).ok()?.encode(&mut answer).ok()?;
                for key in keys {
                    key.encode(&mut answer).ok()?;
                    "".encode(&mut answer).ok()?;
                }
                Some(answer)
            }
            EXTENSION => {
                (text(&mut rest)? == b"session-bind@openssh.com").then_some(())?;
                self.bind(rest)?;
                Some(vec![SUCCESS])
            }
            SIGN_REQUEST => {
                let signature = self.sign(rest).await?;
                let mut answer = vec![SIGNATURE];
                Vec::try_from(signature).ok()?.encode(&mut answer).ok()?;
                Some(answer)
            }
            _ => None,
        }
    }

    /// Takes note of a session with the host, proven by the host's signature.
    fn bind(&mut self, mut rest: &[u8]) -> Option<()> {
        let key = text(&mut rest)?;
        let session = text(&mut rest)?;
        let signature = Signature::try_from(text(&mut rest)?).ok()?;
        let is_forwarded = u8::decode(&mut rest).ok()? != 0;
        if is_forwarded || self.session.is_some() || !rest.is_empty() {
            return None;
        }
        let is_host = |permit: &Permit| permit.host_key.to_bytes().is_ok_and(|host| host == key);
        let permit = self.permits.find(is_host)?;
        permit.host_key.key_data().verify(session, &signature).ok()?;
        self.session = Some((session.to_vec(), key.to_vec()));
        Some(())
    }

    /// Signs a login, when it is the one that is permitted.
    async fn sign(&mut self, mut rest: &[u8]) -> Option<Signature> {
        let (key, data, flags) = (text(&mut rest)?, text(&mut rest)?, u32::decode(&mut rest).ok()?);
        let (session, host) = self.session.as_ref()?;
        let is_right = |permit: &Permit| {
            let is_of = |public: &PublicKey, bytes: &[u8]| public.to_bytes().is_ok_and(|own| own == bytes);
            is_of(permit.proof.public(), key)
                && is_of(&permit.host_key, host)
                && login(data, session, permit).is_some_and(|hash| flags == flags_of(hash))
        };
        if !rest.is_empty() {
            return None;
        }
        let permit = self.permits.find(is_right)?;
        let hash = login(data, session, &permit)?;
        if !self.permits.take(&permit) {
            return None;
        }
        permit.proof.sign(data, hash).await
    }
}

/// How a client asks for a hash.
fn flags_of(hash: Option<HashAlg>) -> u32 {
    match hash {
        None => 0,
        Some(HashAlg::Sha512) => 4,
        Some(_) => 2,
    }
}

/// That `data` is what a client signs to log in in this session, and nothing else. The hash that it asks of an RSA key.
fn login(mut data: &[u8], session: &[u8], permit: &Permit) -> Option<Option<HashAlg>> {
    const USERAUTH_REQUEST: u8 = 50;
    let rest = &mut data;
    let own = permit.proof.public().to_bytes().ok()?;
    let is_right = text(rest)? == session
        && u8::decode(rest).ok()? == USERAUTH_REQUEST
        && text(rest)? == permit.user.as_bytes()
        && text(rest)? == b"ssh-connection";
    let is_bound = match text(rest)? {
        b"publickey" => false,
        b"publickey-hostbound-v00@openssh.com" => true,
        _ => return None,
    };
    let has_signature = u8::decode(rest).ok()? == 1;
    let algorithm = text(rest)?;
    let is_ours = text(rest)? == own && (!is_bound || text(rest)? == permit.host_key.to_bytes().ok()?);
    if !(is_right && has_signature && is_ours && rest.is_empty()) {
        return None;
    }
    match (permit.proof.public().algorithm(), algorithm) {
        (Algorithm::Rsa { .. }, b"rsa-sha2-512") => Some(Some(HashAlg::Sha512)),
        (Algorithm::Rsa { .. }, b"rsa-sha2-256") => Some(Some(HashAlg::Sha256)),
        (Algorithm::Rsa { .. }, _) => None,
        (own, asked) => (own.as_str().as_bytes() == asked).then_some(None),
    }
}

impl Proof {
    async fn sign(&self, data: &[u8], hash: Option<HashAlg>) -> Option<Signature> {
        match self {
            Self::Key(key) => match key.key_data() {
                KeypairData::Rsa(pair) => (pair, hash).try_sign(data).ok(),
                _ => key.try_sign(data).ok(),
            },
            Self::Agent(public) => {
                let mut client = AgentClient::connect_env().await.ok()?;
                client.sign_request_signature(public, hash, data).await.ok()
            }
        }
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests {
    use russh::keys::{PrivateKey, ssh_key};

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()
    }

    fn permit() -> Permit {
        let host_key = key(1).public_key().clone();
        Permit { proof: Proof::Key(Arc::new(key(2))), user: "deploy".to_owned(), host_key }
    }

    fn texts(parts: &[&[u8]]) -> Vec<u8> {
        let framed = parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes()[..], part].concat());
        framed.collect()
    }

    fn bind(host: &PrivateKey, session: &[u8], is_forwarded: u8) -> Vec<u8> {
        let signature = Vec::try_from(host.try_sign(session).unwrap()).unwrap();
        let key = host.public_key().to_bytes().unwrap();
        let body = texts(&[b"session-bind@openssh.com", &key, session, &signature]);
        [&[EXTENSION], &body[..], &[is_forwarded]].concat()
    }

    fn request(session: &[u8], user: &[u8], method: &[u8], host: &PrivateKey) -> Vec<u8> {
        let own = key(2).public_key().to_bytes().unwrap();
        let mut data = texts(&[session]);
        data.push(50);
        data.extend(texts(&[user, b"ssh-connection", method]));
        data.push(1);
        data.extend(texts(&[b"ssh-ed25519", &own]));
        if method.ends_with(b"openssh.com") {
            data.extend(texts(&[&host.public_key().to_bytes().unwrap()]));
        }
        [&[SIGN_REQUEST], &texts(&[&own, &data])[..], &[0; 4]].concat()
    }

    async fn kinds(messages: &[Vec<u8>]) -> Vec<u8> {
        let permits = Arc::new(Permits::default());
        let _lent = permits.lend(permit());
        let mut agent = Agent::new(Arc::clone(&permits));
        let mut kinds = Vec::new();
        for message in messages {
            kinds.push(agent.answer(message).await.map_or(FAILURE, |answer| answer[0]));
        }
        kinds
    }

    const PLAIN: &[u8] = b"publickey";
    const BOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";

    #[tokio::test]
    async fn one_login_to_the_host_that_is_meant_is_signed() {
        for method in [PLAIN, BOUND] {
            let messages =
                [vec![REQUEST_IDENTITIES], bind(&key(1), b"s", 0), request(b"s", b"deploy", method, &key(1))];
            assert_eq!(kinds(&messages).await, [IDENTITIES, SUCCESS, SIGNATURE]);
        }
        let twice = [
            bind(&key(1), b"s", 0),
            request(b"s", b"deploy", PLAIN, &key(1)),
            request(b"s", b"deploy", PLAIN, &key(1)),
        ];
        assert_eq!(kinds(&twice).await, [SUCCESS, SIGNATURE, FAILURE]);
    }

    #[tokio::test]
    async fn nothing_else_is_signed() {
        let login = request(b"s", b"deploy", BOUND, &key(1));
        let bound = bind(&key(1), b"s", 0);
        let refused: [(&str, Vec<Vec<u8>>); 8] = [
            ("a session that nobody has vouched for", vec![login.clone()]),
            ("another host", vec![bind(&key(3), b"s", 0), login.clone()]),
            ("a forwarded session", vec![bind(&key(1), b"s", 1), login.clone()]),
            ("another session", vec![bind(&key(1), b"t", 0), login.clone()]),
            ("another user", vec![bound.clone(), request(b"s", b"root", PLAIN, &key(1))]),
            ("another way", vec![bound.clone(), request(b"s", b"deploy", b"hostbased", &key(1))]),
            ("bound to another host", vec![bound.clone(), request(b"s", b"deploy", BOUND, &key(3))]),
            ("with more behind it", vec![bound.clone(), [&login[..], &[0]].concat()]),
        ];
        for (what, messages) in refused {
            assert_eq!(kinds(&messages).await.last(), Some(&FAILURE), "{what}");
        }
        // A signature of other data by the host does not vouch for a session.
        let mut forged = bind(&key(1), b"s", 0);
        let at = forged.windows(5).position(|part| part == [0, 0, 0, 1, b's']).unwrap();
        forged[at + 4] = b't';
        assert_eq!(kinds(&[forged, request(b"t", b"deploy", PLAIN, &key(1))]).await, [FAILURE, FAILURE]);
        for kind in 0..=255 {
            if kind != REQUEST_IDENTITIES {
                assert_eq!(kinds(&[vec![kind]]).await, [FAILURE], "message {kind}");
            }
        }
        for len in 0..login.len() {
            assert_eq!(
                kinds(&[bound.clone(), login[..len].to_vec()]).await,
                [SUCCESS, FAILURE],
                "{len} bytes"
            );
        }
    }
}
