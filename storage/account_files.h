/* storage/account_files.h — removing a directory that holds an account. */
#ifndef STORAGE_ACCOUNT_FILES_H
#define STORAGE_ACCOUNT_FILES_H

/* Removes an account's directory with all below; what cannot be removed stays for `posthouse check --repair`. */
void remove_tree(const char *path);

#endif
