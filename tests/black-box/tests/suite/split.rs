//! The split as clients see it: who gets which release, from every worker, across reloads and weights.

use std::collections::{BTreeMap, BTreeSet};

use black_box::{Config, Connection, Nginx, Request, vectors};

fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}")).collect()
}

/// Three releases behind `$lobechat_canary_release`, split by the cookie `uid`.
fn config(releases: &str) -> Config {
    Config::new().releases(&["a", "b", "c", "d"]).server(&format!(
        "keepalive_requests 1000000;
         lobechat_canary {{ release stable a; {releases} user cookie:uid; salt lobe; }}
         location / {{ return 200 \"$lobechat_canary_release $lobechat_canary_bucket $pid\"; }}"
    ))
}

/// A user's release, native bucket, and the worker that said so.
fn ask(connection: &mut Connection, user: &str) -> (String, u16, u32) {
    let text = connection.fetch(&Request::get("/").cookie(format!("uid={user}"))).text();
    let words: Vec<&str> = text.split(' ').collect();
    (words[0].to_owned(), words[1].parse().unwrap(), words[2].parse().unwrap())
}

fn releases(nginx: &Nginx, users: &[String]) -> Vec<String> {
    let mut connection = nginx.connect();
    users.iter().map(|user| ask(&mut connection, user).0).collect()
}

#[test]
fn documented_buckets() {
    let location = |path: &str, salt: &str| {
        format!(
            "location {path} {{ lobechat_canary p{} {{ release stable a; user cookie:uid; salt {salt}; }}
            return 200 $lobechat_canary_bucket; }}",
            &path[1..]
        )
    };
    let nginx = Config::new()
        .releases(&["a"])
        .server(&location("/one", "lobe"))
        .server(&location("/two", "lobe:2"))
        .start();
    for (target, user, bucket) in [
        ("/one", "user_1", "3178"),
        ("/one", "user_2", "5671"),
        ("/one", "alice", "7091"),
        ("/two", "alice", "1894"),
    ] {
        assert_eq!(
            nginx.fetch(Request::get(target).cookie(format!("uid={user}"))).text(),
            bucket,
            "{target} {user}"
        );
    }
}

#[test]
fn the_bucket_decides_and_buckets_are_even() {
    let nginx =
        config("release x b weight=10%; release y c weight=0.5%; release z d weight=20% from=50%;").start();
    let mut connection = nginx.connect();
    let mut thousands = [0; 10];
    let mut shares = BTreeMap::<String, usize>::new();
    for user in users(10_000) {
        let (release, bucket, _) = ask(&mut connection, &user);
        let expected = match bucket {
            0..1000 => "x",
            5000..7000 => "z",
            9950..10_000 => "y",
            _ => "stable",
        };
        assert_eq!(release, expected, "{user} in bucket {bucket}");
        thousands[usize::from(bucket) / 1000] += 1;
        *shares.entry(release).or_default() += 1;
    }
    // Four standard deviations of a binomial share.
    assert!(thousands.iter().all(|&count: &i32| (count - 1000).abs() < 120), "{thousands:?}");
    for (release, share) in [("x", 0.1), ("y", 0.005), ("z", 0.2)] {
        let (mean, count) = (10_000.0 * share, shares[release] as f64);
        assert!((count - mean).abs() < 4.0 * f64::sqrt(mean * (1.0 - share)), "{release}: {count}");
    }
}

#[test]
fn every_worker_and_every_reload_gives_the_same_answer() {
    let config = config("release x b weight=30%; release y c weight=30%;")
        .workers(3)
        .listen("listen 127.0.0.1:@PORT@ reuseport;");
    let mut nginx = config.clone().start();
    let users = users(300);
    let mut answers: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for round in 0..2 {
        let workers = nginx.worker_pids();
        while !workers.iter().all(|pid| answers.contains_key(pid)) {
            let mut connection = nginx.connect();
            let (_, _, pid) = ask(&mut connection, "somebody");
            answers
                .entry(pid)
                .or_insert_with(|| users.iter().map(|user| ask(&mut connection, user).0).collect());
        }
        if round == 0 {
            nginx.reload(&config);
        }
    }
    assert_eq!(answers.len(), 6, "three workers before and after the reload");
    assert_eq!(answers.into_values().collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn changing_a_weight_moves_users_only_between_stable_and_that_release() {
    let at = |x: &str, y: &str| config(&format!("release x b weight={x}; release y c weight={y};"));
    let users = users(1500);
    let mut nginx = at("0%", "0%").start();
    let mut before = releases(&nginx, &users);
    assert!(before.iter().all(|release| release == "stable"));
    for (x, y, from, to) in [
        ("10%", "0%", "stable", "x"),
        ("10%", "20%", "stable", "y"),
        ("30%", "20%", "stable", "x"),
        ("80%", "20%", "stable", "x"),
        ("40%", "20%", "x", "stable"),
        ("40%", "60%", "stable", "y"),
        ("40%", "0%", "y", "stable"),
        ("100%", "0%", "stable", "x"),
    ] {
        nginx.reload(&at(x, y));
        let after = releases(&nginx, &users);
        let moves: BTreeSet<(&str, &str)> = (before.iter().zip(&after))
            .filter(|(old, new)| old != new)
            .map(|(old, new)| (old.as_str(), new.as_str()))
            .collect();
        assert_eq!(moves, BTreeSet::from([(from, to)]), "x={x} y={y}");
        before = after;
    }
    assert!(before.iter().all(|release| release == "x"), "100 % is everybody");
}

#[test]
fn another_salt_picks_other_users() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server("keepalive_requests 1000000;")
        .server("location /1 { lobechat_canary one { release stable a; release canary b weight=50%; user cookie:uid; } return 200 $lobechat_canary_release; }")
        .server("location /2 { lobechat_canary two { release stable a; release canary b weight=50%; user cookie:uid; } return 200 $lobechat_canary_release; }")
        .server("location /3 { lobechat_canary three { release stable a; release canary b weight=50%; user cookie:uid; salt one; } return 200 $lobechat_canary_release; }")
        .start();
    let mut connection = nginx.connect();
    let answers: Vec<[String; 3]> = users(400)
        .iter()
        .map(|user| {
            ["/1", "/2", "/3"]
                .map(|t| connection.fetch(&Request::get(t).cookie(format!("uid={user}"))).text())
        })
        .collect();
    let differ = |a: usize, b: usize| answers.iter().filter(|answer| answer[a] != answer[b]).count();
    // The default salt is the policy's name.
    assert_eq!(differ(0, 2), 0);
    assert!((140..260).contains(&differ(0, 1)), "{} of 400 differ", differ(0, 1));
}

#[test]
fn split_clients_mode_answers_as_nginx_does() {
    let nginx = Config::new()
        .releases(&["a", "b", "c", "d"])
        .http("split_clients $cookie_uid $first { 10% x; 0.5% y; 33.33% z; * stable; }")
        .http("split_clients $cookie_uid $last { 40% stable; * x; }")
        .http("split_clients $cookie_uid$remote_addr $text { 99.99% x; * stable; }")
        .server("keepalive_requests 1000000;")
        .server(
            "location /first { lobechat_canary first { release stable a; release x b weight=10%;
                 release y c weight=0.5% from=10%; release z d weight=33.33% from=10.5%; user cookie:uid; hash split_clients;
                 salt ignored; } return 200 \"$lobechat_canary_release $first\"; }",
        )
        .server(
            "location /last { lobechat_canary last { release stable a; release x b weight=60% from=top; user cookie:uid;
                 hash split_clients; } return 200 \"$lobechat_canary_release $last\"; }",
        )
        .server(
            "location /text { lobechat_canary text { release stable a; release x b weight=99.99%;
                 user $cookie_uid$remote_addr; hash split_clients; } return 200 \"$lobechat_canary_release $text\"; }",
        )
        .start();
    let mut connection = nginx.connect();
    for target in ["/first", "/last", "/text"] {
        let mut seen = BTreeSet::new();
        for user in users(4000) {
            let text = connection.fetch(&Request::get(target).cookie(format!("uid={user}"))).text();
            let (ours, theirs) = text.split_once(' ').unwrap();
            assert_eq!(ours, theirs, "{target} {user}");
            seen.insert(ours.to_owned());
        }
        assert!(seen.len() > 1 || target == "/text", "{target}: {seen:?}");
    }
}

#[test]
fn unleash_mode_answers_as_unleash_does() {
    let cases: Vec<_> = vectors::read("unleash_rollout.jsonl")
        .into_iter()
        .filter(|line| line["murmur3_input"].is_string())
        .collect();
    let cases: Vec<_> = cases.iter().filter(|line| line["enabled"].is_boolean()).collect();
    assert!(cases.len() >= 15);
    let location = |(index, line): (usize, &&serde_json::Value)| {
        format!(
            "location = /{index} {{ lobechat_canary p{index} {{ release stable a; release canary b weight={}%; \
             user header:x-id; hash unleash; salt {}; }} return 200 $lobechat_canary_release; }}\n",
            line["percentage"], line["groupId"]
        )
    };
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server(&cases.iter().enumerate().map(location).collect::<String>())
        .start();
    for (index, line) in cases.iter().enumerate() {
        let id = line["stick_value"].as_str().unwrap();
        let release = nginx.fetch(Request::get(&format!("/{index}")).header("X-Id", id)).text();
        let expected = if line["enabled"] == true { "canary" } else { "stable" };
        assert_eq!(release, expected, "{}", line["id"]);
    }
}
