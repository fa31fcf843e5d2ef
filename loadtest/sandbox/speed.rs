//! Requests that one core serves, and how long one takes whose effect is kept on disk.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, Way};
use crate::line;
use crate::process::Server;

/// Connections, each with one request at a time.
const CONNECTIONS: usize = 8;
/// Objects that are read and written.
const OBJECTS: usize = 1000;
/// For how long each kind of request is sent.
const LONG: Duration = Duration::from_secs(5);
/// Writes whose time is taken one by one.
const WRITES: usize = 1000;

/// What is sent again and again.
#[derive(Clone, Copy)]
enum Load {
    Get,
    Apply,
}

pub(crate) async fn report() -> anyhow::Result<()> {
    let server = Server::start(None)?;
    let way = Way::new(&server.kubeconfig)?;
    let mut client = way.connect().await?;
    for number in 0..OBJECTS {
        apply(&mut client, number, 0).await?;
    }
    line("gets a second", &run(&server, &way, Load::Get).await?, "10000");
    line("small applies a second", &run(&server, &way, Load::Apply).await?, "5000");
    drop(client);
    drop(server);

    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path().to_str())?;
    let way = Way::new(&server.kubeconfig)?;
    let mut client = way.connect().await?;
    let mut times = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        let began = Instant::now();
        apply(&mut client, number, 0).await?;
        times.push(began.elapsed());
    }
    times.sort();
    let at = |part: usize| format!("{:.2} ms", times[WRITES * part / 100].as_secs_f64() * 1e3);
    line("a write kept on disk, half of them within", &at(50), "");
    line("a write kept on disk, 99 of 100 within", &at(99), "");
    line("small applies a second, kept on disk", &run(&server, &way, Load::Apply).await?, "");
    Ok(())
}

/// Requests per second of the server's CPU time.
async fn run(server: &Server, way: &Way, load: Load) -> anyhow::Result<String> {
    let end = Instant::now() + LONG;
    let before = server.cpu()?;
    let all = (0..CONNECTIONS).map(|connection| async move {
        let mut client = way.connect().await?;
        let mut count = 0;
        while Instant::now() < end {
            // Each has objects of its own, so that none waits for another's write.
            let number = (count * CONNECTIONS + connection) % OBJECTS;
            match load {
                Load::Get => {
                    let path = format!("/api/v1/namespaces/default/configmaps/object-{number}");
                    client.send("GET", &path, "", "").await?;
                }
                Load::Apply => apply(&mut client, number, count + 1).await?,
            }
            count += 1;
        }
        anyhow::Ok(count)
    });
    let counts = futures::future::try_join_all(all).await?;
    let used = server.cpu()? - before;
    Ok(format!("{:.0}", counts.iter().sum::<usize>() as f64 / used.as_secs_f64()))
}

/// A server-side apply of a small object that is each time a little different.
async fn apply(client: &mut Client, number: usize, round: usize) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/default/configmaps/object-{number}?fieldManager=bench");
    let body = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"object-{number}\", \
         \"labels\": {{\"app.kubernetes.io/instance\": \"shop\"}}}}, \
         \"data\": {{\"round\": \"{round}\", \"colour\": \"green\", \"size\": \"small\"}}}}"
    );
    client.send("PATCH", &path, "application/apply-patch+yaml", &body).await?;
    Ok(())
}
