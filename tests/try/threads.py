# Threads, a child of fork, a child of exec, and one large block.
import hashlib, json, os, subprocess, threading

sums = []


def work(count):
    table = {str(i): [i] * (i % 50) for i in range(count)}
    sums.append(len(json.dumps(table)))


threads = [threading.Thread(target=work, args=(2000 + i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
child = os.fork()
if child == 0:
    blocks = [bytearray(i) for i in range(1, 3000)]
    os._exit(len(blocks) % 7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]), sorted(sums))
print(subprocess.run(["sh", "-c", "echo from a shell; exit 3"], capture_output=True))
print(hashlib.sha256(bytearray(20_000_000)).hexdigest())
