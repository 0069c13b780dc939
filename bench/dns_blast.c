/* Sends prepared DNS queries over UDP, a bounded number of them unanswered at a time, and counts what comes back.
   blast ADDRESS PORT SECONDS WINDOW FILE START: the file has each query behind its length, 16 bits, big-endian; START is the first.
   Prints: seconds, answers, answers with an error, truncated answers, queries that were not answered in time, the query to go on with. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, ANSWER = 4096 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
    double seconds = atof(argv[3]);
    long window = atol(argv[4]);
    FILE *in = fopen(argv[5], "rb");
    if (!in) return 2;
    fseek(in, 0, SEEK_END);
    long size = ftell(in);
    rewind(in);
    unsigned char *data = malloc(size);
    if (fread(data, 1, size, in) != (size_t)size) return 2;
    long count = 0;
    for (long at = 0; at < size; at += 2 + (data[at] << 8 | data[at + 1])) count++;
    unsigned char **query = malloc(count * sizeof *query);
    size_t *length = malloc(count * sizeof *length);
    long index = 0;
    for (long at = 0; at < size; at += 2 + length[index - 1]) {
        length[index] = data[at] << 8 | data[at + 1];
        query[index++] = data + at + 2;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) return 3;
    static unsigned char answers[BATCH][ANSWER];
    struct mmsghdr out[BATCH] = {0}, back[BATCH] = {0};
    struct iovec out_at[BATCH], back_at[BATCH];
    for (int i = 0; i < BATCH; i++) {
        back_at[i] = (struct iovec){answers[i], ANSWER};
        back[i].msg_hdr.msg_iov = &back_at[i];
        out[i].msg_hdr.msg_iov = &out_at[i];
        out[i].msg_hdr.msg_iovlen = back[i].msg_hdr.msg_iovlen = 1;
    }
    long next = atol(argv[6]) % count, open = 0, answered = 0, failed = 0, truncated = 0, lost = 0;
    unsigned short id = 1;
    double start = now(), heard = start, end = start + seconds;
    while (now() < end) {
        int n = 0;
        while (n < BATCH && open + n < window) {
            query[next][0] = id >> 8;
            query[next][1] = id++ & 255;
            out_at[n++] = (struct iovec){query[next], length[next]};
            next = (next + 1) % count;
        }
        if (n) {
            int sent = sendmmsg(fd, out, n, 0);
            if (sent > 0) open += sent;
        }
        struct pollfd waiting = {fd, POLLIN, 0};
        if (open >= window || n == 0) poll(&waiting, 1, 50);
        int got = recvmmsg(fd, back, BATCH, MSG_DONTWAIT, NULL);
        if (got > 0) {
            heard = now();
            for (int i = 0; i < got; i++) {
                answered++;
                failed += (answers[i][3] & 15) != 0;
                truncated += (answers[i][2] & 2) != 0;
            }
            open = open > got ? open - got : 0;
        } else if (now() - heard > 0.2) {
            lost += open;
            open = 0;
            heard = now();
        }
    }
    printf("%.6f %ld %ld %ld %ld %ld\n", now() - start, answered, failed, truncated, lost, next);
    return 0;
}
