//! A way through a proxy for ssh, which has none of its own: a port of the
//! loopback interface that takes one connection and passes it on through a
//! SOCKS5 or HTTP proxy. It lives as long as the operation that opened it.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::Error;
use crate::session::Peer;

/// Opens the port, if the credentials name a proxy that applies to `host`.
pub(crate) async fn open(peer: &Peer<'_>, host: &str, port: u16) -> Result<Option<u16>, Error> {
    let exempt = peer.credentials.no_proxy.as_deref().is_some_and(|list| is_exempt(list, host));
    let Some(proxy) = peer.credentials.proxy.as_ref().filter(|_| !exempt) else { return Ok(None) };
    let invalid = |reason| Error::InvalidCredentials { reason };
    let proxy = Url::parse(proxy.expose()).map_err(|_| invalid("the proxy URL does not parse"))?;
    if !matches!(proxy.scheme(), "http" | "socks5" | "socks5h") {
        return Err(invalid("ssh goes through an http or socks5 proxy only"));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(Error::io("open a port on", "127.0.0.1"))?;
    let local = listener.local_addr().map_err(Error::io("open a port on", "127.0.0.1"))?.port();
    let host = host.to_owned();
    tokio::spawn(async move {
        if let Err(error) = pass(listener, &proxy, &host, port).await {
            // ssh sees its connection close and says so; this says why.
            tracing::warn!(proxy = proxy.host_str(), host, %error, "the proxy did not connect to the ssh host");
        }
    });
    Ok(Some(local))
}

async fn pass(listener: TcpListener, proxy: &Url, host: &str, port: u16) -> io::Result<()> {
    let (mut near, _) = listener.accept().await?;
    drop(listener);
    let far = (proxy.host_str().unwrap_or_default(), proxy.port_or_known_default().unwrap_or(1080));
    let mut far = BufReader::new(TcpStream::connect(far).await?);
    match proxy.scheme() {
        "http" => connect_http(&mut far, proxy, host, port).await?,
        _ => connect_socks(&mut far, proxy, host, port).await?,
    }
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}

async fn connect_http(far: &mut BufReader<TcpStream>, proxy: &Url, host: &str, port: u16) -> io::Result<()> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some((user, password)) = login(proxy) {
        request += &format!("Proxy-Authorization: Basic {}\r\n", base64(format!("{user}:{password}").as_bytes()));
    }
    far.write_all((request + "\r\n").as_bytes()).await?;
    let mut status = String::new();
    let mut head = far.take(16 << 10);
    head.read_line(&mut status).await?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other("the proxy refused"));
    }
    let mut line = status;
    while line.trim_end() != "" {
        line.clear();
        if head.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// RFC 1928, and RFC 1929 for a user name and password. The proxy resolves the
/// host's name.
async fn connect_socks(far: &mut BufReader<TcpStream>, proxy: &Url, host: &str, port: u16) -> io::Result<()> {
    let login = login(proxy);
    far.write_all(&[5, 1, if login.is_some() { 2 } else { 0 }]).await?;
    let mut answer = [0; 2];
    far.read_exact(&mut answer).await?;
    match (answer, login) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let mut message = vec![1];
            push_short(&mut message, &user)?;
            push_short(&mut message, &password)?;
            far.write_all(&message).await?;
            far.read_exact(&mut answer).await?;
            if answer[1] != 0 {
                return Err(io::Error::other("the proxy does not accept the credentials"));
            }
        }
        _ => return Err(io::Error::other("the proxy wants another kind of authentication")),
    }
    let mut message = vec![5, 1, 0, 3];
    push_short(&mut message, host)?;
    message.extend(port.to_be_bytes());
    far.write_all(&message).await?;
    let mut head = [0; 4];
    far.read_exact(&mut head).await?;
    if head[1] != 0 {
        return Err(io::Error::other("the proxy refused"));
    }
    let address = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(far.read_u8().await?),
        _ => return Err(io::Error::other("the proxy answered with an unknown address")),
    };
    far.read_exact(&mut vec![0; address + 2]).await.map(|_| ())
}

fn push_short(message: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| io::Error::other("a name is longer than 255 bytes"))?;
    message.push(length);
    message.extend_from_slice(text.as_bytes());
    Ok(())
}

fn login(proxy: &Url) -> Option<(String, String)> {
    let decode = crate::url::percent_decode;
    let password = decode(proxy.password().unwrap_or_default());
    (!proxy.username().is_empty()).then(|| (decode(proxy.username()), password))
}

/// `no_proxy` as most programs read it: `*`, a host, or the end of a domain.
fn is_exempt(list: &str, host: &str) -> bool {
    list.split([',', ' ']).map(|entry| entry.trim().trim_start_matches('.')).filter(|entry| !entry.is_empty()).any(
        |entry| {
            let below = host.len() > entry.len() && host.ends_with(entry);
            entry == "*" || host.eq_ignore_ascii_case(entry) || below && host[..host.len() - entry.len()].ends_with('.')
        },
    )
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_and_everything() {
        assert!(is_exempt("a.org, .corp.example", "git.corp.example"));
        assert!(is_exempt("git.a.org", "GIT.a.org"));
        assert!(is_exempt("*", "x"));
        assert!(!is_exempt("corp.example", "evilcorp.example"));
        assert!(!is_exempt("", "x"));
    }
}
