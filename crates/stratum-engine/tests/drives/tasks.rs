//! The list of background tasks agrees with the documentation.

use crate::store::Store;
use stratum_storage::task::{Executor, Row};

fn line(Row { name, role, class, executor, .. }: Row) -> String {
    let class = class.map_or("-", |class| class.name());
    let executor = match executor {
        Executor::Runtime => "runtime",
        Executor::Thread => "thread",
    };
    format!("| `{name}` | {} | {class} | {executor} |", role.name())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_are_those_of_the_architecture_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let listed: Vec<String> = store.tasks().iter().map(|task| line(task.row())).collect();
    let page = include_str!("../../../../docs/ARCHITECTURE.md");
    let told = page.lines().skip_while(|line| !line.starts_with("| name | role |")).skip(2);
    let told: Vec<&str> = told.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(told.len(), listed.len());
    for (told, listed) in told.iter().zip(&listed) {
        assert!(told.starts_with(listed), "{listed} is told as {told}");
    }
}
