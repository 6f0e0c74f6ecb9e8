use expect_test::expect;

use super::*;
use crate::backend::MemoryHost;

fn rooted(roots: &[&str]) -> (MemoryHost, RootedHost) {
    let host = MemoryHost::new("m1");
    host.with_files(|files| {
        for dir in ["/srv/web", "/srv/other", "/etc"] {
            files.make_dir(dir, &Ownership::default()).unwrap();
        }
        files.symlink("/etc", "/srv/web/conf").unwrap();
        files.symlink("/etc/motd", "/srv/web/motd").unwrap();
        files.symlink("/srv", "/www").unwrap();
    });
    (host.clone(), RootedHost::new(Arc::new(host), roots))
}

/// What each way to change a path comes to.
async fn tried(host: &RootedHost, path: &str) -> Vec<String> {
    let none = Ownership::default();
    let told = |what: &str, done: Result<(), HostError>| {
        let said = match done {
            Ok(()) => "done".to_owned(),
            Err(HostError::Refused { source, .. }) => source.to_string(),
            Err(other) => other.to_string(),
        };
        format!("{what} {path}: {said}")
    };
    vec![
        told("write", host.write_from(path, &b"x".into(), &none).await),
        told("own", host.set_ownership(path, &Ownership::new(Some(0o600), None, None)).await),
        told("remove", host.remove(path, Remove::File).await),
        told("make", host.make_dir(path, &none).await),
    ]
}

#[tokio::test]
async fn nothing_is_changed_but_beneath_a_root_and_through_no_link() {
    let (_, host) = rooted(&["/srv//web/", "/www/other"]);
    let mut all = Vec::new();
    for path in [
        "/srv/web/a",
        "/www/other/b",
        "/srv/web/none/c",
        "/srv/webs",
        "/srv/web/../x",
        "/etc/passwd",
        "/srv/web/conf/passwd",
        "/srv/web/conf/deep/er",
        "//srv/./web/conf//x",
    ] {
        all.extend(tried(&host, path).await);
    }
    expect![[r#"
        write /srv/web/a: done
        own /srv/web/a: done
        remove /srv/web/a: done
        make /srv/web/a: done
        write /www/other/b: done
        own /www/other/b: done
        remove /www/other/b: done
        make /www/other/b: done
        write /srv/web/none/c: /srv/web/none does not exist on m1
        own /srv/web/none/c: /srv/web/none/c does not exist on m1
        remove /srv/web/none/c: done
        make /srv/web/none/c: done
        write /srv/webs: it is not beneath /srv/web, /www/other
        own /srv/webs: it is not beneath /srv/web, /www/other
        remove /srv/webs: it is not beneath /srv/web, /www/other
        make /srv/webs: it is not beneath /srv/web, /www/other
        write /srv/web/../x: it is not beneath /srv/web, /www/other
        own /srv/web/../x: it is not beneath /srv/web, /www/other
        remove /srv/web/../x: it is not beneath /srv/web, /www/other
        make /srv/web/../x: it is not beneath /srv/web, /www/other
        write /etc/passwd: it is not beneath /srv/web, /www/other
        own /etc/passwd: it is not beneath /srv/web, /www/other
        remove /etc/passwd: it is not beneath /srv/web, /www/other
        make /etc/passwd: it is not beneath /srv/web, /www/other
        write /srv/web/conf/passwd: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        own /srv/web/conf/passwd: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        remove /srv/web/conf/passwd: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        make /srv/web/conf/passwd: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        write /srv/web/conf/deep/er: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        own /srv/web/conf/deep/er: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        remove /srv/web/conf/deep/er: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        make /srv/web/conf/deep/er: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        write //srv/./web/conf//x: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        own //srv/./web/conf//x: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        remove //srv/./web/conf//x: /srv/web/conf is a symbolic link, which may lead out of /srv/web
        make //srv/./web/conf//x: /srv/web/conf is a symbolic link, which may lead out of /srv/web"#]]
    .assert_eq(&all.join("\n"));
}

#[tokio::test]
async fn the_last_name_may_be_a_link_which_is_replaced_or_removed_itself() {
    let (memory, host) = rooted(&["/srv/web"]);
    let made = host.make_dir("/srv/web/conf", &Ownership::new(Some(0o700), None, None)).await.unwrap_err();
    assert_eq!(
        made.to_string(),
        "m1 refused to change /srv/web/conf",
        "a link to a directory may count as it"
    );
    host.write_from("/srv/web/motd", &b"x".into(), &Ownership::default()).await.unwrap();
    host.remove("/srv/web/conf", Remove::File).await.unwrap();
    let there = memory.with_files(|files| files.list("/"));
    assert_eq!(there, ["/etc", "/srv", "/srv/other", "/srv/web", "/srv/web/motd", "/www"]);
}

#[tokio::test]
async fn whatever_is_looked_at_may_be_anywhere_and_without_a_root_nothing_is_changed() {
    let (memory, host) = rooted(&[]);
    let before = memory.with_files(|files| files.list("/"));
    assert!(host.stat("/srv/web/conf").await.unwrap().is_some());
    assert_eq!(host.to_string(), "m1");
    for told in tried(&host, "/srv/web/a").await {
        assert!(told.ends_with("it is not beneath any folder"), "{told}");
    }
    assert_eq!(memory.with_files(|files| files.list("/")), before);
    let (_, host) = rooted(&["/"]);
    host.write_from("/etc/a", &b"x".into(), &Ownership::default()).await.unwrap();
}
