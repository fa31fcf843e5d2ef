//! What a watch promises about the disk.

use futures::FutureExt as _;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use redb::Database;
use redb::backends::InMemoryBackend;
use tokio::time::timeout;

use super::*;
use crate::hooks::Hooks;
use crate::kinds::Kinds;
use crate::serve::handle;
use crate::stamp;
use crate::store::{ObjectKey, Store};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Nothing of this takes so long.
const LONG: Duration = Duration::from_secs(60);
/// So often every task of the runtime gets its turn until none has anything to do.
const TURNS: usize = 1000;

async fn send(api: &Arc<Api>, method: Method, path: &str, body: String) -> respond::Body {
    let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body)));
    let response = handle::handle(api.clone(), None, request.expect("a request")).await;
    assert!(response.status().is_success(), "{}", response.status());
    response.into_body()
}

fn create(api: &Arc<Api>, name: &str) -> tokio::task::JoinHandle<()> {
    let (api, body) = (api.clone(), json!({"metadata": {"name": name}}).to_string());
    tokio::spawn(async move { drop(send(&api, Method::POST, CONFIG_MAPS, body).await) })
}

/// Waits for an event of a watch, and says which object it is about.
async fn next(watch: &mut respond::Body) -> String {
    let frame = timeout(LONG, watch.frame()).await.expect("in time").expect("goes on").expect("is whole");
    let event: Value = serde_json::from_slice(frame.data_ref().expect("data")).expect("JSON");
    object::name(&event["object"]).to_owned()
}

#[tokio::test]
async fn nobody_hears_of_a_write_before_the_disk_has_it() {
    let database = Arc::new(Database::builder().create_with_backend(InMemoryBackend::new()).expect("a database"));
    let store = Store::on(database.clone(), 100).expect("an empty store");
    let api = Arc::new(Api::new(store, Kinds::new(), stamp::fixed(), Hooks::default(), String::new()));
    let mut watch = send(&api, Method::GET, &format!("{CONFIG_MAPS}?watch=true"), String::new()).await;
    create(&api, "early").await.expect("is answered");
    assert_eq!(next(&mut watch).await, "early");

    let held = database.begin_write().expect("nothing is being written");
    let answer = create(&api, "late");
    let key = ObjectKey::new("", "configmaps", "default", "late");
    let stored = async {
        while api.store.get(&key).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, stored).await.expect("is stored in time");
    let mut second = send(&api, Method::GET, &format!("{CONFIG_MAPS}?watch=true"), String::new()).await;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    assert!(!answer.is_finished(), "its writer waits");
    assert!(watch.frame().now_or_never().is_none(), "a watch waits");
    assert!(second.frame().now_or_never().is_none(), "one that begins with it waits, too");

    drop(held);
    timeout(LONG, answer).await.expect("in time").expect("is answered");
    assert_eq!(next(&mut watch).await, "late");
    let mut initial = [next(&mut second).await, next(&mut second).await];
    initial.sort();
    assert_eq!(initial, ["early", "late"]);
}
