//! docs/openapi.yaml describes the same operator's routes as the server has, each with the same method and query
//! parameters. Both files are parsed by their layout. Whoever adds a route to one of them is told by this test to add
//! it to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The routes, as `GET /scrub/{action}`, each with the query parameters that it takes.
type Routes = BTreeMap<String, BTreeSet<String>>;

/// The routes in the server's source: the calls of `.route(path, method(...), &[parameters])`.
fn served(source: &str) -> Routes {
    let calls = source.split(".route(").skip(1);
    let routes = calls.map(|call| {
        let path = call.split('"').nth(1).unwrap().replace("{*", "{");
        let method =
            ["get", "post"].into_iter().find(|method| call.contains(&format!(" {method}("))).unwrap();
        let parameters = call.split("&[").nth(1).unwrap().split(']').next().unwrap();
        let names = parameters.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        (format!("{} {path}", method.to_uppercase()), names)
    });
    routes.collect()
}

/// The routes in the document below `paths:`: a path is indented by two spaces, a method by four, and each parameter
/// has a line of its own.
fn described(document: &str) -> Routes {
    let (mut routes, mut path, mut current) = (Routes::new(), "", String::new());
    let lines = document.lines().skip_while(|line| *line != "paths:").skip(1);
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let depth = line.len() - line.trim_start().len();
        match (depth, line.trim().strip_suffix(':')) {
            (2, Some(name)) => path = name,
            (4, Some(method)) => {
                current = format!("{} {path}", method.to_uppercase());
                routes.insert(current.clone(), BTreeSet::new());
            }
            _ if line.contains(" in: query,") => {
                let name = line.trim().strip_prefix("- { name: ").unwrap().split(',').next().unwrap();
                routes.get_mut(&current).unwrap().insert(name.to_owned());
            }
            _ => {}
        }
    }
    routes
}

#[test]
fn every_operators_route_is_described_and_every_described_route_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let (served, described) = (served(&read("src/operator.rs")), described(&read("../docs/openapi.yaml")));
    assert!(served.len() > 20, "{} routes", served.len());
    let only = |some: &Routes, others: &Routes| {
        let some = some.iter().filter(|(route, parameters)| others.get(*route) != Some(*parameters));
        some.map(|(route, names)| {
            format!("{route} ({})", names.iter().cloned().collect::<Vec<_>>().join(", "))
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(
        only(&served, &described),
        Vec::<String>::new(),
        "docs/openapi.yaml lacks these routes, or has other parameters for them"
    );
    assert_eq!(
        only(&described, &served),
        Vec::<String>::new(),
        "the server lacks these routes, or has other parameters for them"
    );
}

#[test]
fn routes_are_read_as_they_are_laid_out() {
    let one = |route: &str, names: &[&str]| {
        (route.to_owned(), names.iter().map(|name| (*name).to_owned()).collect())
    };
    let source = ".route(\"/a/{*key}\", get(f), &[])\n.route(\n\"/b\",\n post(g),\n&[\"x\", \"y\"],\n)";
    let expected = Routes::from([one("GET /a/{key}", &[]), one("POST /b", &["x", "y"])]);
    assert_eq!(served(source), expected);
    let document = "paths:\n  /a/{key}:\n    get:\n      parameters:\n        - { name: key, in: path, r: 1 }\n  /b:\n    post:\n        \
                    - { name: x, in: query, r: 1 }\n        - { name: y, in: query, r: 1 }\ncomponents:\n  z:\n    get:\n";
    assert_eq!(described(document), expected);
}
