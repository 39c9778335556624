/* A loopback HTTP/1.1 server that leaves the machine to the clients: one thread, epoll, replies that are made once.

   Usage: server ROUTES. The routes file is written by `benchmarks.server.routes`. The server prints its port and runs
   until its standard input is closed. A request is routed by the first segment of its path; its other content is read
   and ignored. Errors end the process: a benchmark must not go on with a server that is broken. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUTES 64
#define MAX_HEAD 65536
#define READ_SIZE 262144
#define MAX_EVENTS 512

typedef struct {
  char name[64];
  long interval_us, count; /* 0 microseconds: everything in one write */
  size_t head, chunk, tail, whole;
  char *bytes; /* head, the chunks, tail; with an interval: head, one chunk, tail */
} Route;

typedef struct Connection {
  int fd, watches_output;
  char head[MAX_HEAD];
  size_t head_length, body_left;
  const Route *route; /* set while a reply is under way */
  const char *output;
  size_t output_left;
  long sent;           /* chunks of a paced reply that have been sent */
  long long begun, due; /* nanoseconds */
  long position;       /* in the heap; -1 outside of it */
} Connection;

static Route routes[MAX_ROUTES];
static size_t route_count;
static Connection **heap;
static long heap_length, heap_capacity;
static int poller, timer;
static char scratch[READ_SIZE];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void read_routes(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  Route *route = routes;
  while (fscanf(file, "%63s %ld %ld %zu %zu %zu", route->name, &route->interval_us, &route->count, &route->head,
                &route->chunk, &route->tail) == 6) {
    fgetc(file);
    size_t given = route->head + route->chunk + route->tail;
    long copies = route->interval_us ? 1 : route->count;
    route->whole = route->head + copies * route->chunk + route->tail;
    char *bytes = malloc(given + 1), *at = route->bytes = malloc(route->whole + 1);
    if (!bytes || !at || fread(bytes, 1, given, file) != given) fail("routes");
    memcpy(at, bytes, route->head);
    at += route->head;
    for (long copy = 0; copy < copies; copy++, at += route->chunk) memcpy(at, bytes + route->head, route->chunk);
    memcpy(at, bytes + route->head + route->chunk, route->tail);
    free(bytes);
    if (++route_count == MAX_ROUTES) break;
    route++;
  }
  fclose(file);
}

/* -- the heap of paced replies, the next one first ------------------------------------------------------------- */

static void place(Connection *connection, long position) {
  heap[position] = connection;
  connection->position = position;
}

static void sift(Connection *connection, long position) {
  while (position > 0 && heap[(position - 1) / 2]->due > connection->due) {
    place(heap[(position - 1) / 2], position);
    position = (position - 1) / 2;
  }
  for (;;) {
    long child = 2 * position + 1;
    if (child >= heap_length) break;
    if (child + 1 < heap_length && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= connection->due) break;
    place(heap[child], position);
    position = child;
  }
  place(connection, position);
}

static void schedule(Connection *connection, long long due) {
  connection->due = due;
  if (connection->position >= 0) {
    sift(connection, connection->position);
    return;
  }
  if (heap_length == heap_capacity) {
    heap_capacity = heap_capacity ? 2 * heap_capacity : 64;
    heap = realloc(heap, heap_capacity * sizeof *heap);
    if (!heap) fail("heap");
  }
  heap_length++;
  sift(connection, heap_length - 1);
}

static void unschedule(Connection *connection) {
  if (connection->position < 0) return;
  Connection *last = heap[--heap_length];
  long position = connection->position;
  connection->position = -1;
  if (last != connection) sift(last, position);
}

/* -- connections ------------------------------------------------------------------------------------------------ */

static void drop(Connection *connection) {
  unschedule(connection);
  close(connection->fd);
  free(connection);
}

static void watch(Connection *connection, int output) {
  if (connection->watches_output == output) return;
  connection->watches_output = output;
  struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0), .data.ptr = connection};
  if (epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event)) fail("epoll_ctl");
}

/* Send what can be sent. Returns 0 if the connection was dropped. */
static int flush(Connection *connection) {
  while (connection->output_left) {
    ssize_t sent = send(connection->fd, connection->output, connection->output_left, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) {
        watch(connection, 1);
        return 1;
      }
      drop(connection);
      return 0;
    }
    connection->output += sent;
    connection->output_left -= sent;
  }
  watch(connection, 0);
  const Route *route = connection->route;
  if (route && (!route->interval_us || connection->sent > route->count)) connection->route = NULL;
  return 1;
}

static int send_bytes(Connection *connection, const char *bytes, size_t length) {
  connection->output = bytes;
  connection->output_left = length;
  return flush(connection);
}

static int begin_reply(Connection *connection) {
  const char *name = memchr(connection->head, '/', connection->head_length);
  const Route *route = NULL;
  for (size_t i = 0; name && i < route_count; i++) {
    size_t length = strlen(routes[i].name);
    if (!strncmp(name + 1, routes[i].name, length) && strchr("/ ?", name[1 + length])) route = &routes[i];
  }
  connection->head_length = 0;
  if (!route) {
    fprintf(stderr, "no such route: %.80s\n", connection->head);
    exit(1);
  }
  connection->route = route;
  if (!route->interval_us) return send_bytes(connection, route->bytes, route->whole);
  connection->sent = 0;
  connection->begun = now_ns();
  schedule(connection, connection->begun + route->interval_us * 1000LL);
  return send_bytes(connection, route->bytes, route->head);
}

static int go_on(Connection *connection) {
  const Route *route = connection->route;
  if (connection->output_left) { /* the client is slow: its next chunk waits for it */
    schedule(connection, connection->due + route->interval_us * 1000LL);
    return 1;
  }
  long sent = ++connection->sent;
  if (sent < route->count) {
    schedule(connection, connection->begun + (sent + 1) * route->interval_us * 1000LL);
    return send_bytes(connection, route->bytes + route->head, route->chunk);
  }
  unschedule(connection);
  connection->sent = route->count + 1;
  return send_bytes(connection, route->bytes + route->head, route->chunk + route->tail);
}

/* Take bytes of a request. Returns 0 if the connection was dropped. */
static int take(Connection *connection, const char *bytes, size_t length) {
  while (length) {
    if (connection->body_left) {
      size_t part = length < connection->body_left ? length : connection->body_left;
      connection->body_left -= part;
      bytes += part;
      length -= part;
      if (!connection->body_left && !begin_reply(connection)) return 0;
      continue;
    }
    size_t part = MAX_HEAD - 1 - connection->head_length;
    if (part > length) part = length;
    size_t before = connection->head_length;
    memcpy(connection->head + before, bytes, part);
    connection->head_length += part;
    connection->head[connection->head_length] = 0;
    char *end = strstr(connection->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (!end) {
      if (connection->head_length == MAX_HEAD - 1) fail("a request head is too long");
      return 1;
    }
    size_t used = end + 4 - connection->head - before;
    bytes += used;
    length -= used;
    end[2] = 0;
    const char *field = strcasestr(connection->head, "\r\ncontent-length:");
    connection->body_left = field ? strtoul(field + 17, NULL, 10) : 0;
    if (!connection->body_left && !begin_reply(connection)) return 0;
  }
  return 1;
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *connection = calloc(1, sizeof *connection);
    if (!connection) fail("connection");
    connection->fd = fd;
    connection->position = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
  }
}

static void receive(Connection *connection, unsigned events) {
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    ssize_t length = recv(connection->fd, scratch, sizeof scratch, 0);
    if (length == 0 || (length < 0 && errno != EAGAIN)) {
      drop(connection);
      return;
    }
    if (length > 0 && !take(connection, scratch, length)) return;
  }
  if (events & EPOLLOUT) flush(connection);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: server ROUTES\n");
    return 2;
  }
  read_routes(argv[1]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 8192)) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  poller = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int owned[] = {listener, timer, STDIN_FILENO};
  for (int i = 0; i < 3; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &owned[i]};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, owned[i], &event)) fail("epoll_ctl");
  }
  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    struct itimerspec next = {0};
    if (heap_length) {
      next.it_value.tv_sec = heap[0]->due / 1000000000LL;
      next.it_value.tv_nsec = heap[0]->due % 1000000000LL;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &next, NULL);
    int count = epoll_wait(poller, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == &owned[2]) {
        if (read(STDIN_FILENO, scratch, sizeof scratch) <= 0) return 0;
      } else if (events[i].data.ptr == &owned[0]) {
        accept_all(listener);
      } else if (events[i].data.ptr != &owned[1]) {
        receive(events[i].data.ptr, events[i].events);
      }
    }
    /* After the events, none of which can then name a connection that was dropped here. */
    long long now = now_ns();
    while (heap_length && heap[0]->due <= now) go_on(heap[0]);
  }
}
