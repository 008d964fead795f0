//! No module needs one that needs it: of two that use each other, neither can be understood, tested or replaced alone.
//!
//! Looked at are the modules at the top of each crate, and the paths that their files name (`crate::a::B`,
//! `super::a`, in a `use` or anywhere else). What a folder's files have to do with each other is its own business. Not
//! seen are methods that a type has elsewhere, and what a macro writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Circles that are left: the crate, its modules, and why they are one.
const ALLOWED: [(&str, &[&str], &str); 0] = [];

/// Which modules a module names.
type Edges = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_needs_one_that_needs_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = super::entries(&root.join("crates")).into_iter().chain([root.join("stratum")]);
    let mut found = Vec::new();
    for folder in crates {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let edges = edges(&folder.join("src"));
        assert!(!edges.is_empty(), "{name} has no modules");
        for circle in circles(&edges) {
            let told = told(&edges, &circle);
            found.push((name.clone(), circle, told));
        }
    }
    for (name, modules, why) in ALLOWED {
        let before = found.len();
        found.retain(|(of, circle, _)| of != name || circle != modules);
        assert!(found.len() < before, "{name} has no circle any more of which it was said: {why}");
    }
    let told: Vec<String> = found.iter().map(|(name, _, told)| format!("{name}: {told}")).collect();
    assert!(told.is_empty(), "modules that need each other:\n{}", told.join("\n"));
}

/// Who names whom in a circle.
fn told(edges: &Edges, circle: &[String]) -> String {
    let needs = |module: &String| {
        let needed: Vec<&str> =
            edges[module].iter().filter(|other| circle.contains(other)).map(String::as_str).collect();
        format!("{module} names {}", needed.join(", "))
    };
    circle.iter().map(needs).collect::<Vec<_>>().join("; ")
}

/// What the modules at the top of a crate name of each other.
fn edges(src: &Path) -> Edges {
    let mut edges = Edges::new();
    let files = super::rust_files(src);
    let module = |file: &Path| -> Vec<String> {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
    };
    let tops: BTreeSet<String> = files.iter().map(|file| module(file)[0].clone()).collect();
    for file in &files {
        let path = module(file);
        if matches!(path[0].as_str(), "lib" | "main") {
            continue;
        }
        let text = without_tests(&fs::read_to_string(file).unwrap());
        let named = named(&text, &path).into_iter().filter(|name| tops.contains(name) && *name != path[0]);
        edges.entry(path[0].clone()).or_default().extend(named);
    }
    edges
}

/// The code of a file: neither comments nor what only tests have.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        match line.trim_start() {
            "#[cfg(test)]" if lines.peek() == Some(&"mod tests {") => break,
            // The one thing that follows is for tests alone.
            "#[cfg(test)]" => drop(lines.next()),
            line if line.starts_with("//") => {}
            line => code.extend([line, "\n"]),
        }
    }
    code
}

/// The first names of the paths that a file of that module begins with `crate` or with enough `super`s.
fn named(code: &str, module: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| begins(code, *at)) {
        names.extend(firsts(&code[at + "crate::".len()..]));
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| begins(code, *at)) {
        let path = &code[at..];
        let rest = path.trim_start_matches("super::");
        if (path.len() - rest.len()) / "super::".len() == module.len() {
            names.extend(firsts(rest));
        }
    }
    names
}

/// Whether a path begins there, and doesn't go on.
fn begins(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':' | '$'))
}

/// The first name of what follows, or those of a group in braces.
fn firsts(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut begins, mut names) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[begins..at]));
                begins = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// The largest groups of modules of which each needs, by whatever way, each other.
fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|module| (module, reachable(edges, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let back = |other: &&&String| reached.get(**other).is_some_and(|reached| reached.contains(*module));
        let circle: Vec<String> = others.iter().filter(back).map(|other| (**other).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// What a module needs, and what that needs, and so on; itself only if something of it needs it.
fn reachable<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(edges.get(module).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn circles_are_found() {
    let module = |path: &str| -> Vec<String> { path.split("::").map(str::to_owned).collect() };
    let text = "use crate::a::B;\nuse crate::{c, d::{E, f}, g::H};\nuse super::i::J;\nuse super::super::k::L;\n\
        // crate::not::This\nfn m() { crate::n::o(mycrate::p, other::crate::q) }\n#[cfg(test)]\nuse crate::r::S;\n\
        #[cfg(test)]\nmod tests {\n    use crate::t::U;\n}\n";
    let names = |path| named(&without_tests(text), &module(path)).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!((names("x").as_str(), names("x::y").as_str()), ("a c d g i n", "a c d g k n"));
    let needs = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "e2"), ("e2", "e3"), ("e3", "e")];
    let mut edges = Edges::new();
    for (one, other) in needs {
        edges.entry(one.to_owned()).or_default().insert(other.to_owned());
    }
    assert_eq!(
        circles(&edges),
        [vec!["b".to_owned(), "c".into()], vec!["e".into(), "e2".into(), "e3".into()]]
    );
}
