from pyinfra import host
from pyinfra.operations import files, server

root = host.data.root_dir
files.directory(name="directory", path=f"{root}/app", mode="755")
conf = files.template(name="template", src="app.conf.j2", dest=f"{root}/app/app.conf", mode="644")
files.file(name="file of the line", path=f"{root}/main.conf", mode="644")
files.line(name="line", path=f"{root}/main.conf", line="port=1234")
server.shell(name="stamp", commands=[f"touch {root}/stamp"], _if=conf.did_change)
