#ifndef DROVER_CLIBCRYPTO_SHIM_H
#define DROVER_CLIBCRYPTO_SHIM_H

#include <openssl/crypto.h>

#endif
