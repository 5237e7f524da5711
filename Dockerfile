# SPDX-License-Identifier: Apache-2.0

# make image builds the program first: nothing else is in the image.
FROM scratch
COPY meshprobe /meshprobe
USER 65532:65532
ENTRYPOINT ["/meshprobe"]
