"""``vecrecall serve`` under load: fairness, and throughput compared with other services.

`load` measures what small requests wait for next to large ones, updates, a publication, departed
and stalled clients; `throughput` compares requests per second with other services, of which `plain`
is one of FAISS; `clients` sends requests.
"""
