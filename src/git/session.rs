//! One conversation with a remote, whoever carries it: HTTP requests, or the
//! pipes of an `ssh` or `git` process.

use git2::{Oid, Reference};

use crate::error::clean;
use crate::process::Process;
use crate::refs::{HEADS, RemoteRef, RemoteRefs, TAGS};
use crate::smart_http::SmartHttp;
use crate::store::Store;
use crate::url::Location;
use crate::wire::{AdvertisedRef, Advertisement, PacketReader, WireError, advertisement, request};
use crate::{Credentials, Error, RepoUrl, local, ssh};

/// Who is talked to, and how.
#[derive(Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub url: &'a RepoUrl,
    pub credentials: &'a Credentials,
    pub store: &'a Store,
    pub max_bytes: u64,
}

pub(crate) struct Session<'a> {
    peer: Peer<'a>,
    link: Link,
    reader: PacketReader,
    server: Advertisement,
    /// A version 0 server hangs up after one pack.
    spent: bool,
}

pub(crate) enum Link {
    Http(SmartHttp),
    Process(Process),
}

/// Receives the bytes of a pack.
pub(crate) type PackSink<'s> = dyn FnMut(&[u8]) -> Result<(), Error> + 's;

/// A wire error, or the sink's own.
enum Broken {
    Wire(WireError),
    Sink(Error),
}

// === impl Session ===

impl<'a> Session<'a> {
    /// Connects and hears the advertisement.
    pub(crate) async fn open(peer: Peer<'a>) -> Result<Self, Error> {
        let (mut link, mut reader) = match peer.url.location() {
            Location::Http { url, userinfo } => {
                let (http, body) = SmartHttp::connect(&peer, url, userinfo.as_ref()).await?;
                (Link::Http(http), body)
            }
            Location::Ssh { .. } => ssh::spawn(&peer).await.map(|(p, r)| (Link::Process(p), r))?,
            Location::Local(path) => local::spawn(&peer, path).map(|(p, r)| (Link::Process(p), r))?,
        };
        match Advertisement::read(&mut reader).await {
            Ok(server) => Ok(Self { peer, link, reader, server, spent: false }),
            Err(error) => Err(explain(&peer, &mut link, error).await),
        }
    }

    /// Lists `HEAD`, branches and tags; with version 2 only those and what
    /// begins with one of `prefixes`, with version 0 everything there is.
    pub(crate) async fn list(&mut self, prefixes: &[&str]) -> Result<RemoteRefs, Error> {
        let advertised = if self.server.v2 {
            let mut all = vec!["HEAD", HEADS, TAGS];
            all.extend(prefixes);
            self.exchange(request::list_refs(&self.server, &all)).await?;
            match advertisement::read_refs(&mut self.reader).await {
                Ok(refs) => refs,
                Err(error) => return Err(explain(&self.peer, &mut self.link, error).await),
            }
        } else {
            std::mem::take(&mut self.server.refs)
        };
        Ok(collect(advertised))
    }

    /// Whether a further pack can be asked for.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Asks for a pack and feeds it to `sink`.
    pub(crate) async fn fetch(&mut self, wants: &[Oid], haves: &[Oid], sink: &mut PackSink<'_>) -> Result<(), Error> {
        let body = match request::fetch_pack(&self.server, wants, haves) {
            Ok(body) => body,
            Err(error) => return Err(explain(&self.peer, &mut self.link, error).await),
        };
        self.spent = !self.server.v2 && matches!(self.link, Link::Process(_));
        self.exchange(body).await?;
        match receive(&mut self.reader, self.server.v2, sink).await {
            Ok(()) => Ok(()),
            Err(Broken::Sink(error)) => Err(error),
            Err(Broken::Wire(error)) => Err(explain(&self.peer, &mut self.link, error).await),
        }
    }

    async fn exchange(&mut self, body: Vec<u8>) -> Result<(), Error> {
        let sent = match &mut self.link {
            Link::Http(http) => {
                self.reader = http.post(&self.peer, body, self.server.v2).await?;
                return Ok(());
            }
            Link::Process(process) => process.write(&body).await,
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) => Err(explain(&self.peer, &mut self.link, WireError::Io(error)).await),
        }
    }
}

// === impl Broken ===

impl From<WireError> for Broken {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

async fn receive(reader: &mut PacketReader, v2: bool, sink: &mut PackSink<'_>) -> Result<(), Broken> {
    request::read_until_pack(reader, v2).await?;
    reader.side_band(&mut |data: &[u8]| sink(data).map_err(Broken::Sink)).await
}

/// Turns a broken conversation into an error of the repository. When a child
/// process hung up, the reason is on its standard error.
async fn explain(peer: &Peer<'_>, link: &mut Link, error: WireError) -> Error {
    let repo = peer.url.to_string();
    match (error, link) {
        (WireError::Malformed(reason), _) => Error::Protocol { repo, reason },
        (WireError::TooLarge(limit), _) => Error::TooLarge { what: format!("the answer of {repo}"), limit },
        (WireError::Remote(message), _) => Error::Remote { repo, message: clean(&message) },
        (WireError::Ended | WireError::Io(_), Link::Process(process)) => process.explain(peer.url).await,
        (WireError::Ended, Link::Http(_)) => Error::Transfer { repo, source: std::io::ErrorKind::UnexpectedEof.into() },
        (WireError::Io(source), Link::Http(_)) => Error::Transfer { repo, source },
    }
}

/// Refs with names git would not accept are left out: they cannot be stored,
/// and nothing can refer to them.
fn collect(advertised: Vec<AdvertisedRef>) -> RemoteRefs {
    let mut refs = RemoteRefs::default();
    for AdvertisedRef { name, oid, peeled, symref } in advertised {
        if name == "HEAD" {
            refs.head = Some(peeled.unwrap_or(oid));
            refs.head_target = symref.filter(|target| Reference::is_valid_name(target));
        } else if name.starts_with("refs/") && Reference::is_valid_name(&name) {
            refs.refs.insert(name, RemoteRef { oid, peeled });
        }
    }
    refs
}
