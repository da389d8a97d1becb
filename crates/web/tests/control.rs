//! The control socket, both sides.

use net::{LocalListener, Stopper};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use web::{Answer, CallError, Caller, Failure, Kind, Operations, call, serve};

struct Echo;

impl Operations for Echo {
    fn call(
        &self,
        caller: Caller,
        operation: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            match operation.as_str() {
                "who" => Ok(json!(caller.to_string())),
                "echo" => Ok(arguments),
                "panic" => panic!("asked for"),
                _ => Err(Failure::new(Kind::NotFound, format!("no {operation}"))),
            }
        })
    }
}

#[tokio::test]
async fn answers_failures_and_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    assert!(matches!(call(&path, "echo", &json!(1)).await, Err(CallError::NotListening(_))));
    let (stopper, stop) = Stopper::new();
    let server = tokio::spawn(serve(LocalListener::bind(&path).unwrap(), Arc::new(Echo), stop));
    let arguments = json!({"name": "ü", "list": [1, 2]});
    assert_eq!(call(&path, "echo", &arguments).await.unwrap(), arguments);
    let me = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert_eq!(call(&path, "who", &json!(null)).await.unwrap(), json!(format!("uid {me}")));
    let large = json!("x".repeat(10 << 20));
    assert_eq!(call(&path, "echo", &large).await.unwrap(), large);
    match call(&path, "other", &json!(null)).await {
        Err(CallError::Failed(failure)) => assert_eq!(failure, Failure::new(Kind::NotFound, "no other")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(call(&path, "panic", &json!(null)).await, Err(CallError::Broken(_))));
    assert!(matches!(call(&path, "a/b", &json!(null)).await, Err(CallError::Failed(_))));
    assert_eq!(call(&path, "echo", &json!(2)).await.unwrap(), json!(2));
    stopper.stop();
    server.await.unwrap().unwrap();
    assert!(matches!(call(&path, "echo", &json!(1)).await, Err(CallError::NotListening(_))));
}
