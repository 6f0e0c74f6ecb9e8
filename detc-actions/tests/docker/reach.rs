//! What is published is reached, and what is called by an alias is found.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use detc_core::backend::Containers;
use detc_core::backend::containers::{
    Attachment, ContainerSpec, FileInside, HostPort, NetworkSpec, Networking, New, ObjectKind, Port, Subnet,
};
use detc_core::backend::host::Command;

use crate::dockerd::Dockerd;
use crate::support::{eventually, idle, name, remove, run};

fn server() -> ContainerSpec {
    let mut spec = idle();
    spec.command = Some(["httpd", "-f", "-p", "80", "-h", "/srv"].map(str::to_owned).to_vec());
    spec
}

#[tokio::test]
async fn a_published_port_leads_inside() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let name = name("server");
    let mut spec = server();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    spec.ports.insert(Port::published(80, HostPort { address: Some(loopback), port: None }));
    let files = vec![FileInside::new("/srv/hello", b"hello from inside")];
    engine.create(&New::Container { name: name.clone(), spec: Box::new(spec), files }).await.unwrap();
    engine.change(&detc_core::backend::containers::Change::start(&name)).await.unwrap();
    let at = engine.container(&name).await.unwrap().unwrap().published[0];
    eventually("the server answers", async || {
        let mut stream = TcpStream::connect((at.address, at.host_port)).ok()?;
        stream.write_all(b"GET /hello HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.ends_with("hello from inside").then_some(())
    })
    .await;
    remove(engine, ObjectKind::Container, &name).await;
}

#[tokio::test]
async fn containers_of_a_network_find_each_other_by_alias_and_address() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let (network, one, two, third) = (name("net"), name("one"), name("two"), name("third"));
    let mut spec = NetworkSpec::default();
    spec.subnets = vec![Subnet::new(dockerd.subnet(200))];
    engine.create(&New::Network { name: network.clone(), spec }).await.unwrap();
    let address: IpAddr = dockerd.subnet(200).replace("0/24", "77").parse().unwrap();
    let mut attachment = Attachment::aliased(["web"]);
    attachment.addresses.insert(address);
    let mut spec = server();
    spec.networking = Networking::of([(network.clone(), attachment)]);
    run(engine, &one, spec.clone()).await;
    let found = engine.container(&one).await.unwrap().unwrap();
    assert_eq!(found.spec.networking, spec.networking);
    assert_eq!(found.addresses.get(&network), Some(&address));

    let mut other = idle();
    other.networking = Networking::of([(network.clone(), Attachment::default())]);
    run(engine, &two, other).await;
    let mut joined = idle();
    joined.networking = Networking::Container(one.clone());
    run(engine, &third, joined.clone()).await;
    assert_eq!(engine.container(&third).await.unwrap().unwrap().spec.networking, joined.networking);
    for (from, to) in [(&two, "web"), (&two, &*address.to_string()), (&third, "127.0.0.1")] {
        let host = engine.host(from);
        eventually(&format!("{from} finds {to}"), async || {
            let output = host
                .run(&Command::new(["wget", "-q", "-O", "-", &format!("http://{to}/none")]))
                .await
                .unwrap();
            String::from_utf8_lossy(&output.stderr).contains("404").then_some(())
        })
        .await;
    }
    for container in [&third, &two, &one] {
        remove(engine, ObjectKind::Container, container).await;
    }
    remove(engine, ObjectKind::Network, &network).await;
}
