use super::*;

fn host() -> MemoryHost {
    MemoryHost::new("m1").with_program("touch", |command: &Command, files: &mut Files| {
        files.write(&command.argv[1], b"", &Ownership::default()).unwrap();
        Output::default()
    })
}

#[tokio::test]
async fn a_program_changes_the_files_of_its_host() {
    let host = host();
    host.run(&Command::new(["touch", "/f"])).await.unwrap();
    assert_eq!(host.stat("/f").await.unwrap().unwrap().size, 0);
    let error = host.run(&Command::new(["tuch"])).await.unwrap_err();
    assert_eq!(error.to_string(), "tuch does not exist on m1");
}

#[tokio::test]
async fn an_unreachable_host_does_nothing_and_one_whose_answer_is_lost_has_done_it() {
    let host = host();
    host.fail_call(1, HostFault::AnswerLost);
    host.fail_call(0, HostFault::Unreachable);
    let write = |path| {
        let host = host.clone();
        async move { host.write_from(path, &b"x".into(), &Ownership::default()).await.unwrap_err().to_string() }
    };
    assert_eq!(write("/a").await, "m1 can not be reached: no route to host");
    assert_eq!(write("/b").await, "the answer of m1 to write /b was lost");
    assert_eq!(host.with_files(|files| files.list("/")), ["/b"]);
    assert_eq!(host.calls(), 2);
}

#[tokio::test]
async fn a_full_disk_and_an_unknown_user_are_refused() {
    let host = host().with_capacity(3).with_user("web", 33);
    let error = host.write_from("/f", &b"1234".into(), &Ownership::default()).await.unwrap_err();
    assert!(
        matches!(error, HostError::Refused { ref source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert_eq!(error.to_string(), "m1 refused to write /f");
    let owner = |name: &str| Ownership::new(None, Some(name.into()), None);
    host.write_from("/f", &b"1".into(), &owner("web")).await.unwrap();
    assert!(host.stat("/f").await.unwrap().unwrap().owner.is("33"));
    assert!(matches!(host.set_ownership("/f", &owner("wbe")).await, Err(HostError::Refused { .. })));
}

#[tokio::test]
async fn a_program_that_takes_longer_than_it_may_is_out_of_time() {
    let host = MemoryHost::new("m1").with_basics();
    let command = Command::new(["sleep", "10"]).with_timeout(Duration::from_secs(9));
    assert_eq!(host.run(&command).await.unwrap_err().to_string(), "`sleep` on m1 was ended after 9000 ms");
}

#[tokio::test]
async fn what_is_missing_where_something_is_written_is_the_directory() {
    let said = async |path| {
        host().write_from(path, &b"".into(), &Ownership::default()).await.unwrap_err().to_string()
    };
    assert_eq!(said("/etc/s").await, "/etc does not exist on m1");
    assert_eq!(said("/a/b/c").await, "/a/b does not exist on m1");
}
