// Opens models and nothing else: reads u32 size, model, again and again, and prints what ebnn_node_count and ebnn_open say
// of each.

#include <stdio.h>
#include <stdlib.h>

#include "ebnn.h"

#define MOST_NODES 255

int main(void) {
    static ebnn_node_t nodes[MOST_NODES];
    uint8_t head[4];
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *model = malloc(size);
        ebnn_t net;
        if ((model == NULL && size != 0) || fread(model, 1, size, stdin) != size) {
            return 2;
        }
        printf("%d %d\n", ebnn_node_count(model, size), ebnn_open(&net, nodes, MOST_NODES, model, size));
        free(model);
    }
    return 0;
}
